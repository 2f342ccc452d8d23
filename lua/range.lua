-- Purpose: read a range of minutes from consecutive days of one instrument, all as of one moment.
-- KEYS: 1… day strings, ascending by date
-- ARGV: 1 first minute of the day (IST) wanted of the first day; 2 minute of the day at which the last day's
--   range ends (exclusive)
-- Returns: for each key {minute of the day of the first record, records as one string}; {0, ''} where there
--   is no string or nothing in the range
-- Errors: BADKEY a key holds something that isn't ours

local from_minute, to_minute = tonumber(ARGV[1]), tonumber(ARGV[2])

local days = {}
for index, key in ipairs(KEYS) do
  local day = read_header(key)
  days[index] = {0, ''}
  if day then
    local first = index == 1 and max(0, from_minute - day.first_minute) or 0
    local last = index == #KEYS and min(day.slots, to_minute - day.first_minute) or day.slots
    if first < last then
      days[index] = {day.first_minute + first,
        call('GETRANGE', key, HEADER_SIZE + first * RECORD_SIZE, HEADER_SIZE + last * RECORD_SIZE - 1)}
    end
  end
end
return days
