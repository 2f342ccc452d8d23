-- Purpose: what the other scripts share: layouts, number texts, and closing a candle. The loader puts this
--   file before each of them; it is no script of its own.
-- KEYS: none
-- ARGV: none
-- Returns: nothing
-- Errors: none

local HEADER_FORMAT = '<c2I2I4I2I2i2i2i2i2I2I2i8i8'
local HEADER_SIZE = 40
local RECORD_FORMAT = '<ddddi8i8i8i8I4I2I2I2BBI4'
local RECORD_SIZE = 80
local MAGIC, VERSION = 'RI', 1
local FINAL, GAP, NO_MINUTE = 1, 2, 65535

-- Places of the fields in an unpacked record.
local OPEN, HIGH, LOW, CLOSE, VOLUME, OI, VOLUME_LOW, VOLUME_HIGH = 1, 2, 3, 4, 5, 6, 7, 8
local TICKS, FIRST_MS, LAST_MS, SOURCE, PHASE, FLAGS, REVISION = 9, 10, 11, 12, 13, 14, 15
-- A record has four more fields in the commit script, false until it says otherwise.
local EMPTY_RECORD = {0, 0, 0, 0, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, false, false, false, false}

local call, format = redis.call, string.format
local pack, unpack_struct = struct.pack, struct.unpack
local max, min = math.max, math.min

-- The shortest decimal that reads back equal, without exponent.
local texts = {}
local function decimal(number)
  local text = texts[number]
  if text then return text end
  for digits = 15, 17 do
    text = format('%.' .. digits .. 'g', number)
    if tonumber(text) == number then break end
  end
  local sign, whole, fraction, exponent = string.match(text, '^(-?)(%d+)%.?(%d*)e([-+]%d+)$')
  if exponent then
    local digits, point = whole .. fraction, #whole + tonumber(exponent)
    if point <= 0 then
      text = sign .. '0.' .. string.rep('0', -point) .. digits
    elseif point >= #digits then
      text = sign .. digits .. string.rep('0', point - #digits)
    else
      text = sign .. string.sub(digits, 1, point) .. '.' .. string.sub(digits, point + 1)
    end
  end
  texts[number] = text
  return text
end

local function integer(number)
  return format('%.0f', number)
end

local function server_time_ms()
  local now = call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

local function volume_text(record)
  if record[VOLUME] < 0 then return '' end
  return integer(record[VOLUME])
end

-- HHMM00 without leading zeros.
local function minute_code(minute)
  return format('%d', math.floor(minute / 60) * 10000 + minute % 60 * 100)
end

local function pack_record(r)
  return pack(RECORD_FORMAT, r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13],
    r[14], r[15])
end

local function push_list(key, record, code)
  if code then
    return redis.pcall('RPUSH', key, decimal(record[OPEN]), decimal(record[HIGH]), decimal(record[LOW]),
      decimal(record[CLOSE]), volume_text(record), code)
  end
  return redis.pcall('RPUSH', key, decimal(record[OPEN]), decimal(record[HIGH]), decimal(record[LOW]),
    decimal(record[CLOSE]), volume_text(record))
end

-- A list of a candle's numbers, with the minute code where its name has no minute. DEL takes any type, so this
-- can't fail half way.
local function write_list(key, record, code, expire_at_ms)
  call('DEL', key)
  push_list(key, record, code)
  call('PEXPIREAT', key, expire_at_ms)
end

-- The same for a list that is most likely there: a write less, and its expiry stays.
local function rewrite_list(key, record, code, expire_at_ms)
  local length, wanted = push_list(key, record, code), code and 6 or 5
  if type(length) == 'number' and length > wanted then
    call('LTRIM', key, -wanted, -1)
  else
    write_list(key, record, code, expire_at_ms)
  end
end

-- Raises a table {err = …} unless the key holds the wanted type or nothing.
local function check_type(key, wanted)
  local found = call('TYPE', key).ok
  if found ~= wanted and found ~= 'none' then
    error({err = 'BADKEY ' .. key .. ' is a ' .. found .. ', not a ' .. wanted})
  end
end

-- A day string's header as a table, nil where there is no string. Raises a table {err = …} for anything that
-- isn't one of ours.
local function read_header(key)
  local bytes = redis.pcall('GETRANGE', key, 0, HEADER_SIZE - 1)
  if type(bytes) == 'table' then check_type(key, 'string') end
  if #bytes == 0 then return nil end
  if #bytes < HEADER_SIZE or string.sub(bytes, 1, 2) ~= MAGIC then
    error({err = 'BADKEY ' .. key .. ' is not a day of candles'})
  end
  local day = {key = key}
  local _, version
  _, version, day.date, day.first_minute, day.slots, day.newest, day.confirmed, day.open, day.first,
    day.superseded, _, day.before, day.lowest = unpack_struct(HEADER_FORMAT, bytes)
  if version ~= VERSION then
    error({err = 'BADKEY ' .. key .. ' has layout version ' .. version .. ', this program writes ' .. VERSION})
  end
  return day
end

local function pack_header(day)
  return pack(HEADER_FORMAT, MAGIC, VERSION, day.date, day.first_minute, day.slots, day.newest, day.confirmed,
    day.open, day.first, day.superseded, 0, day.before, day.lowest)
end

-- A slot nothing has touched is zeros, its phase too; as a record its volumes are null.
local function empty_record()
  return {unpack(EMPTY_RECORD)}
end

-- A negative slot is room that a day made in front and has not written yet.
local function read_record(day, slot)
  if slot < 0 then return empty_record() end
  local from = HEADER_SIZE + slot * RECORD_SIZE
  local bytes = call('GETRANGE', day.key, from, from + RECORD_SIZE - 1)
  if #bytes == RECORD_SIZE then
    local record = {unpack_struct(RECORD_FORMAT, bytes)}
    record[16], record[17], record[18], record[19] = false, false, false, false
    if record[PHASE] ~= 0 then return record end
  end
  return empty_record()
end

local function event_value(day, slot, record)
  return pack('<I4I2I2', day.date, day.first_minute + slot, 0) .. pack_record(record)
end

-- One stream entry for many events; Lua passes at most a few thousand values to a call.
local function write_events(stream, trim_before_ms, events)
  for from = 1, #events, 2000 do
    call('XADD', stream, 'MINID', '~', trim_before_ms, '*', unpack(events, from, min(from + 1999, #events)))
  end
end

local function registry_value(date, open_minute, name)
  return pack('<I4I2', date, open_minute) .. name
end
