-- Purpose: one flush of a partition, all or nothing: check owner and offsets, merge partial candles into the
--   day strings, close and amend candles, mark gaps, refresh the lists, append events, move the offsets.
--   Everything is read and checked before the first write, because an error in a script rolls nothing back.
-- KEYS: 1 partition's meta HASH; 2 its instruments HASH; 3 its closed STREAM; 4 its gaps STREAM;
--   5… key stems, one a group; a group is one instrument's rows of one session day, ascending by date
-- ARGV: 1 owner token; 2 JSON [[producer, from, to], …] offsets in ticks; 3 JSON {counter: increment};
--   4 groups, packed: date YYYYMMDD u32, first minute of the day and slots u16 (minutes), name length u8 and
--     bytes; 5 rows, packed, 88 bytes each (model.ROW), ascending by group and minute, a group's gap marks last;
--   6 JSON {date: [expiry of its lists, expiry of its day string]} (epoch ms as text);
--   7 expiry of lists of days gone by (epoch ms); 8 stream entries older than this go (epoch ms);
--   9 and 10 suffix of the latest and of the confirmed list; 11 JSON [[producer, first and last event time
--   (epoch ms), reason, instrument or '', ticks missing or -1], …] gaps to record
-- Returns: {candles closed, candles amended}
-- Errors: LOST another owner holds the partition; OFFSET a batch doesn't continue its producer's offset;
--   BADKEY a key holds something that isn't ours; BADROW a minute isn't in its group's hours

local meta_key, instruments_key, closed_key, gaps_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local owner, offsets, counters = ARGV[1], cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
local groups, rows = ARGV[4], ARGV[5]
local expiries, past_expire_at_ms, trim_before_ms = cjson.decode(ARGV[6]), ARGV[7], ARGV[8]
local latest_suffix, confirmed_suffix, gaps = ARGV[9], ARGV[10], cjson.decode(ARGV[11])

local FIRST_STEM = 5
local GROUP_FORMAT, ROW_FORMAT, ROW_SIZE = '<I4I2I2Bc0', '<I2I2I4' .. string.sub(RECORD_FORMAT, 2), 88
local ROW_MINUTE, ROW_KIND, ROW_GROUP, IN_ROW = 1, 2, 3, 3
local CLOSE_ORDER, GAP_MARK, NOWHERE = 1, 2, math.huge

check_type(meta_key, 'hash')
check_type(instruments_key, 'hash')
check_type(closed_key, 'stream')
check_type(gaps_key, 'stream')
local holder = call('HGET', meta_key, 'owner')
if holder ~= owner then
  return redis.error_reply('LOST partition is held by ' .. (holder or 'nobody'))
end
for _, range in ipairs(offsets) do
  local committed = tonumber(call('HGET', meta_key, 'offset:' .. range[1]) or '0')
  if committed ~= range[2] then
    return redis.error_reply('OFFSET ' .. range[1] .. ' is at ' .. integer(committed) .. ', not ' ..
      integer(range[2]))
  end
end

-- Days by key, and in the order they are written. A day's fields are its header's, and: `records` by slot as
-- they will be, `has_lists` if it was the newest day before this flush, `changed` if its header did. A record
-- has four more fields here: whether it is to be written, whether this flush closed it, whether it amended it,
-- and its volume before this flush changed it.
local DIRTY, CLOSED, AMENDED, VOLUME_WAS = 16, 17, 18, 19
local days, day_order, newest_dates = {}, {}, {}
local closed_count, amended_count = 0, 0

local function add_day(day, stem, expire_at_ms)
  day.stem, day.expire_at_ms, day.shift, day.open_before = stem, expire_at_ms, 0, day.open
  day.has_lists, day.records = day.superseded == 0, {}
  days[day.key] = day
  day_order[#day_order + 1] = day
  return day
end

local function record_of(day, slot)
  local record = day.records[slot]
  if not record then
    record = read_record(day, slot - day.shift)
    day.records[slot] = record
  end
  return record
end

-- A candle became final.
local function close(day, slot)
  local record = record_of(day, slot)
  record[FLAGS] = bit.bor(record[FLAGS], FINAL)
  record[DIRTY], record[CLOSED] = true, true
  if slot == day.open then day.open = -1 end
  if slot > day.confirmed then day.confirmed = slot end
  day.changed = true
  closed_count = closed_count + 1
end

-- A record changed. If its candle is final that is an amendment, one a flush however many rows cause it.
local function changed(record)
  record[DIRTY] = true
  if record[TICKS] > 0 and bit.band(record[FLAGS], FINAL) ~= 0 and not record[CLOSED]
    and not record[AMENDED] then
    record[AMENDED] = true
    record[REVISION] = record[REVISION] + 1
    amended_count = amended_count + 1
  end
end

-- A new session day of an instrument: its running candle of the day before is closed, and that day's lists
-- are its own no more. A day older than the newest one is superseded from the start, and none is made for gap
-- marks only.
local function begin_day(key, stem, date, first_minute, slots, expire_at_ms, only_marks)
  local superseded = 0
  local newest_date = newest_dates[stem]
  if not newest_date then
    local registered = call('HGET', instruments_key, stem)
    newest_date = registered and unpack_struct('<I4', registered) or 0
  end
  newest_dates[stem] = max(newest_date, date)
  if newest_date > date then
    if only_marks then return nil end
    superseded = 1
  elseif newest_date > 0 and newest_date < date then
    local previous_key = stem .. integer(newest_date)
    local previous = days[previous_key]
    if not previous then
      previous = read_header(previous_key)
      if previous then add_day(previous, stem, past_expire_at_ms) end
    end
    if previous then
      if previous.open >= 0 then close(previous, previous.open) end
      previous.superseded, previous.changed = 1, true
    end
  end
  return add_day({key = key, date = date, first_minute = first_minute, slots = slots, newest = -1,
    confirmed = -1, open = -1, first = -1, superseded = superseded, before = -1, lowest = -1, is_new = true, changed = true},
    stem, expire_at_ms)
end

local function load_day(stem, date, first_minute, slots, expire_at_ms, only_marks)
  local key = stem .. integer(date)
  local day = days[key]
  if not day then
    local header = read_header(key)
    if not header then return begin_day(key, stem, date, first_minute, slots, expire_at_ms, only_marks) end
    day = add_day(header, stem, expire_at_ms)
  end
  -- The calendar's hours of this day grew since the string was made: make room in front and behind.
  local grown = day.first_minute - first_minute
  local last_minute = max(day.first_minute + day.slots, first_minute + slots)
  if grown > 0 and slots > 0 then
    day.shift, day.first_minute, day.changed = grown, first_minute, true
    for _, field in ipairs({'newest', 'confirmed', 'open', 'first', 'open_before'}) do
      if day[field] >= 0 then day[field] = day[field] + grown end
    end
  end
  if day.slots ~= last_minute - day.first_minute then
    day.slots, day.changed = last_minute - day.first_minute, true
  end
  return day
end

-- Ticks are ordered by (cumulative volume, time), where there is none by time alone: of two openings the one
-- with a volume wins, then the lower volume, then the earlier time, then the earlier offset, which is the
-- record's; closings likewise, the later offset being the row's. A row's fields stand IN_ROW places later.
local function merge(record, row)
  local low, high = record[VOLUME_LOW], record[VOLUME_HIGH]
  local row_low, row_high, row_ticks = row[VOLUME_LOW + IN_ROW], row[VOLUME_HIGH + IN_ROW], row[TICKS + IN_ROW]
  if row_ticks > 0 then
    if record[TICKS] == 0 then
      for field = OPEN, CLOSE do record[field] = row[field + IN_ROW] end
      record[OI], record[FIRST_MS], record[LAST_MS] =
        row[OI + IN_ROW], row[FIRST_MS + IN_ROW], row[LAST_MS + IN_ROW]
    else
      record[HIGH] = max(record[HIGH], row[HIGH + IN_ROW])
      record[LOW] = min(record[LOW], row[LOW + IN_ROW])
      local opening, row_opening = low < 0 and NOWHERE or low, row_low < 0 and NOWHERE or row_low
      local first_ms, last_ms = row[FIRST_MS + IN_ROW], row[LAST_MS + IN_ROW]
      if row_opening < opening or (row_opening == opening and first_ms < record[FIRST_MS]) then
        record[OPEN], record[FIRST_MS] = row[OPEN + IN_ROW], first_ms
      end
      if row_high > high or (row_high == high and last_ms >= record[LAST_MS]) then
        record[CLOSE], record[LAST_MS], record[OI] = row[CLOSE + IN_ROW], last_ms, row[OI + IN_ROW]
      end
    end
    record[TICKS] = record[TICKS] + row_ticks
    record[SOURCE] = bit.bor(record[SOURCE], row[SOURCE + IN_ROW])
    record[FLAGS] = bit.bor(record[FLAGS], row[FLAGS + IN_ROW])
  end
  record[PHASE] = row[PHASE + IN_ROW]
  if row_low >= 0 then
    record[VOLUME_LOW] = low < 0 and row_low or min(low, row_low)
    record[VOLUME_HIGH] = max(high, row_high)
  elseif high < 0 and row[VOLUME + IN_ROW] >= 0 then
    record[VOLUME] = max(record[VOLUME], 0) + row[VOLUME + IN_ROW]
  end
end

-- Highest cumulative volume of the minutes before `slot`, -1 if none. A positive volume says that its minute
-- ends above all before it, so the search ends there.
local function volume_before(day, slot)
  local highest = -1
  if day.first < 0 then return highest end
  for earlier = slot - 1, day.first, -1 do
    local record = record_of(day, earlier)
    if record[VOLUME_HIGH] >= 0 then
      highest = max(highest, record[VOLUME_HIGH])
      if record[VOLUME] > 0 then break end
    end
  end
  return highest
end

local function set_volume(day, record, before)
  local volume = before < 0 and record[VOLUME_HIGH] - day.lowest or max(0, record[VOLUME_HIGH] - before)
  if volume ~= record[VOLUME] then
    -- Another row may give it back, so whether this amends a candle shows when all rows are in.
    record[VOLUME_WAS] = record[VOLUME_WAS] or record[VOLUME]
    record[VOLUME] = volume
  end
end

-- A minute's highest cumulative volume rose: it takes volume from those after it, up to the first that ends
-- above it.
local function take_from_later(day, slot, before)
  for later = slot + 1, day.newest do
    local record = record_of(day, later)
    if record[VOLUME_HIGH] >= 0 then
      set_volume(day, record, before)
      if record[VOLUME_HIGH] >= before then break end
    end
  end
end

local function apply_volume(day, slot, record, row_low, high_before)
  local lowered = day.lowest < 0 or row_low < day.lowest
  if lowered then day.lowest, day.changed = row_low, true end
  if day.first < 0 or slot < day.first then day.first, day.changed = slot, true end
  local high, before = record[VOLUME_HIGH], day.before
  if slot < day.newest then
    before = volume_before(day, slot)
    if high > day.before then day.before, day.changed = high, true end
  end
  set_volume(day, record, before)
  if slot < day.newest and high > high_before then take_from_later(day, slot, max(before, high)) end
  if lowered and day.first ~= slot then set_volume(day, record_of(day, day.first), -1) end
end

local function apply_row(day, slot, row)
  if slot > day.newest then
    if day.newest >= 0 then
      day.before = max(day.before, record_of(day, day.newest)[VOLUME_HIGH])
      if day.open >= 0 then close(day, day.open) end
    end
    day.newest, day.changed = slot, true
  end
  local record = record_of(day, slot)
  local high_before, row_low = record[VOLUME_HIGH], row[VOLUME_LOW + IN_ROW]
  merge(record, row)
  changed(record)
  if row_low >= 0 then apply_volume(day, slot, record, row_low, high_before) end
  if record[TICKS] > 0 and bit.band(record[FLAGS], FINAL) == 0 then
    if slot < day.newest or day.superseded == 1 then
      close(day, slot)
    elseif day.open ~= slot then
      day.open, day.changed = slot, true
    end
  end
end

-- Ticks of this minute are missing: its candle, there or to come, says so, and nothing else of it changes.
local function mark_gap(day, slot, row)
  local record = record_of(day, slot)
  if bit.band(record[FLAGS], GAP) ~= 0 then return end
  record[FLAGS] = bit.bor(record[FLAGS], GAP)
  if record[PHASE] == 0 then record[PHASE] = row[PHASE + IN_ROW] end
  changed(record)
end

local group_at, group, day = 1, -1, nil
for row_at = 1, #rows, ROW_SIZE do
  local row = {unpack_struct(ROW_FORMAT, rows, row_at)}
  if row[ROW_GROUP] ~= group then
    group = row[ROW_GROUP]
    local date, first_minute, slots, name
    date, first_minute, slots, name, group_at = unpack_struct(GROUP_FORMAT, groups, group_at)
    local expiry = expiries[integer(date)]
    day = load_day(KEYS[FIRST_STEM + group], date, first_minute, slots, expiry[1], row[ROW_KIND] == GAP_MARK)
    if day then day.name, day.history_expire_at_ms = name, expiry[2] end
  end
  if day then
    local slot, kind = row[ROW_MINUTE] - day.first_minute, row[ROW_KIND]
    if kind == CLOSE_ORDER then
      if slot >= 0 and slot == day.open then close(day, slot) end
    elseif slot < 0 or slot >= day.slots then
      return redis.error_reply('BADROW minute ' .. row[ROW_MINUTE] .. ' is outside the hours of ' .. day.key)
    elseif kind == GAP_MARK then
      mark_gap(day, slot, row)
    else
      apply_row(day, slot, row)
    end
  end
end

for _, touched in ipairs(day_order) do
  for _, record in pairs(touched.records) do
    if record[VOLUME_WAS] and record[VOLUME_WAS] ~= record[VOLUME] then changed(record) end
  end
end

-- From here on only writes.

local events = {}

local function write_record(day, slot, record)
  call('SETRANGE', day.key, HEADER_SIZE + slot * RECORD_SIZE, pack_record(record))
  if record[CLOSED] or record[AMENDED] then
    events[#events + 1] = day.stem
    events[#events + 1] = event_value(day, slot, record)
    -- The lists of a day that a newer one had superseded before are not its own.
    if day.has_lists then
      local code = minute_code(day.first_minute + slot)
      local write_minute = record[AMENDED] and rewrite_list or write_list
      write_minute(day.stem .. code .. ':', record, nil, day.expire_at_ms)
      if slot == day.confirmed then
        write_list(day.stem .. confirmed_suffix, record, code, day.expire_at_ms)
      end
    end
  end
end

local function write_records(day)
  local slots = {}
  for slot, record in pairs(day.records) do
    if record[DIRTY] then slots[#slots + 1] = slot end
  end
  if #slots > 1 then table.sort(slots) end
  for _, slot in ipairs(slots) do write_record(day, slot, day.records[slot]) end
end

for _, day in ipairs(day_order) do
  if day.is_new then
    -- Full length at once, so that it never grows; only its last byte needs to be sent.
    call('SETRANGE', day.key, HEADER_SIZE + day.slots * RECORD_SIZE - 1, '\0')
    call('PEXPIREAT', day.key, day.history_expire_at_ms)
  elseif day.shift > 0 then
    local records = call('GETRANGE', day.key, HEADER_SIZE, -1)
    call('SET', day.key, pack_header(day) .. string.rep('\0', day.shift * RECORD_SIZE) .. records, 'KEEPTTL')
  end
  if day.changed then call('SETRANGE', day.key, 0, pack_header(day)) end
  write_records(day)
  local newest_candle = max(day.open, day.confirmed)
  local newest_record = day.records[newest_candle]
  if day.has_lists and newest_record and newest_record[DIRTY] then
    local write_latest = day.changed and write_list or rewrite_list
    write_latest(day.stem .. latest_suffix, newest_record, minute_code(day.first_minute + newest_candle),
      day.expire_at_ms)
  end
  if day.superseded == 0 and (day.is_new or day.open ~= day.open_before) then
    local open_minute = day.open >= 0 and day.first_minute + day.open or NO_MINUTE
    call('HSET', instruments_key, day.stem, registry_value(day.date, open_minute, day.name))
  end
end
write_events(closed_key, trim_before_ms, events)
for _, gap in ipairs(gaps) do
  call('XADD', gaps_key, 'MINID', '~', trim_before_ms, '*', 'producer', gap[1], 'from_ms', integer(gap[2]),
    'to_ms', integer(gap[3]), 'reason', gap[4], 'instrument', gap[5], 'missing', integer(gap[6]))
end
local standing = {'committed_ms', integer(server_time_ms())}
for _, range in ipairs(offsets) do
  standing[#standing + 1] = 'offset:' .. range[1]
  standing[#standing + 1] = integer(range[3])
end
call('HSET', meta_key, unpack(standing))
if closed_count > 0 then call('HINCRBY', meta_key, 'closed', closed_count) end
if amended_count > 0 then call('HINCRBY', meta_key, 'amended', amended_count) end
for counter, increment in pairs(counters) do
  call('HINCRBY', meta_key, counter, integer(increment))
end
return {closed_count, amended_count}
