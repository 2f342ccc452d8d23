-- document_design.lua: one tick into one candle, as the design we compare ourselves with does it.
--
-- The running candle is a list. A tick of another minute moves it to _confirmed_ and to the key of its minute,
-- and starts a new one. One repair of that design: a minute that was seen before goes on from its key, because
-- concurrent workers mix the ticks around a turn of the minute and overwriting would lose some of them.
--
-- KEYS  none: the names are built here, as that design does (so it can't run on Redis Cluster)
-- ARGV  1 prefix, such as nse_fo   2 token   3 minute code (HHMM00)   4 price   5 volume, traded quantity
--       6 timestamp, epoch ms: part of that design's call, without use
-- Returns {open, high, low, close, volume, minute code}, all strings. Raises no error of its own.
local prefix, token, minute, price, volume = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local call = redis.call
local TTL_S = 86400
local stem = prefix .. ':' .. token .. ':'
local latest = stem .. '_latest_:'

local candle = call('LRANGE', latest, 0, -1)
if candle[6] == minute then
  if tonumber(price) > tonumber(candle[2]) then
    call('LSET', latest, 1, price)
    candle[2] = price
  elseif tonumber(price) < tonumber(candle[3]) then
    call('LSET', latest, 2, price)
    candle[3] = price
  end
  candle[4] = price
  candle[5] = string.format('%d', candle[5] + volume)
  call('LSET', latest, 3, price)
  call('LSET', latest, 4, candle[5])
  return candle
end

local function replace(key, row)
  call('DEL', key)
  call('RPUSH', key, unpack(row))
  call('EXPIRE', key, TTL_S)
end

if candle[6] then
  replace(stem .. '_confirmed_:', candle)
  local closed_minute = table.remove(candle)
  replace(stem .. closed_minute .. ':', candle)
end

local seen = call('LRANGE', stem .. minute .. ':', 0, -1)
if seen[1] then
  if tonumber(price) > tonumber(seen[2]) then seen[2] = price end
  if tonumber(price) < tonumber(seen[3]) then seen[3] = price end
  candle = { seen[1], seen[2], seen[3], price, string.format('%d', seen[5] + volume), minute }
else
  candle = { price, price, price, price, volume, minute }
end
replace(latest, candle)
return candle
