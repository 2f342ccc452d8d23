-- Purpose: make an instrument's running candle final now. It changes no price and no volume, needs no owner,
--   and later ticks amend the candle.
-- KEYS: 1 partition's instruments HASH; 2 its closed STREAM; 3 the instrument's key stem
-- ARGV: 1 and 2 suffix of the latest and of the confirmed list, whose expiry the lists written here get
-- Returns: the event's value (date, minute, record) of the closed candle; '' if no candle is running
-- Errors: BADKEY a key holds something that isn't ours

local instruments_key, closed_key, stem = KEYS[1], KEYS[2], KEYS[3]
local latest_suffix, confirmed_suffix = ARGV[1], ARGV[2]
local DAY_MS = 86400000

check_type(instruments_key, 'hash')
check_type(closed_key, 'stream')
local registered = call('HGET', instruments_key, stem)
if not registered then return '' end
local date = unpack_struct('<I4', registered)
local day = read_header(stem .. integer(date))
if not day or day.open < 0 then return '' end

local slot = day.open
local record = read_record(day, slot)
record[FLAGS] = bit.bor(record[FLAGS], FINAL)
day.open, day.confirmed = -1, slot
local ttl_ms = call('PTTL', stem .. latest_suffix)
local expire_at_ms = integer(server_time_ms() + (ttl_ms > 0 and ttl_ms or DAY_MS))
local code, event = minute_code(day.first_minute + slot), event_value(day, slot, record)

call('SETRANGE', day.key, 0, pack_header(day))
call('SETRANGE', day.key, HEADER_SIZE + slot * RECORD_SIZE, pack_record(record))
write_list(stem .. code .. ':', record, nil, expire_at_ms)
write_list(stem .. confirmed_suffix, record, code, expire_at_ms)
call('HSET', instruments_key, stem, registry_value(date, NO_MINUTE, string.sub(registered, 7)))
write_events(closed_key, '0', {stem, event})
return event
