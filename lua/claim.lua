-- Purpose: make the caller the one owner of a partition, and tell it where the partition stands.
-- KEYS: 1 partition's meta HASH; 2 its instruments HASH
-- ARGV: 1 the new owner's uuid; 2 its present token, '' for none: if that still holds, it stays
-- Returns: {owner token, meta as a flat list of fields and values, instruments as a flat list}
-- Errors: FENCED the present token was given and an owner that claimed later holds the partition; BADKEY a
--   key holds something that isn't ours

local meta_key, instruments_key = KEYS[1], KEYS[2]
local uuid, present = ARGV[1], ARGV[2]

check_type(meta_key, 'hash')
check_type(instruments_key, 'hash')
local holder = call('HGET', meta_key, 'owner')
local function epoch_of(token)
  return tonumber(string.match(token, '^(%d+)-')) or 0
end

-- A rolled-back or wiped store knows no owner, or one this caller replaced: it may claim again. Only an owner
-- that claimed later fences it.
if present ~= '' and holder and holder ~= present and epoch_of(holder) >= epoch_of(present) then
  return redis.error_reply('FENCED partition is held by ' .. holder)
end
if holder == present and holder then
  uuid = nil
end
local instruments = call('HGETALL', instruments_key)
if uuid then
  -- A counter alone starts again from less after a rollback, and an owner from before it would then look like
  -- the later one. The clock doesn't roll back with the data.
  local last = max(tonumber(call('HGET', meta_key, 'epoch') or '0'), epoch_of(present))
  local epoch = integer(max(last + 1, server_time_ms()))
  holder = epoch .. '-' .. uuid
  call('HSET', meta_key, 'epoch', epoch, 'owner', holder)
end
return {holder, call('HGETALL', meta_key), instruments}
