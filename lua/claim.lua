-- Purpose: make the caller the one owner of a partition, and tell it where the partition stands.
-- KEYS: 1 partition's meta HASH; 2 its instruments HASH
-- ARGV: 1 the new owner's uuid; 2 its present token, '' for none: if that still holds, it stays
-- Returns: {owner token, meta as a flat list of fields and values, instruments as a flat list}
-- Errors: FENCED the present token was given and another owner holds the partition; BADKEY a key holds
--   something that isn't ours

local meta_key, instruments_key = KEYS[1], KEYS[2]
local uuid, present = ARGV[1], ARGV[2]

check_type(meta_key, 'hash')
check_type(instruments_key, 'hash')
local holder = call('HGET', meta_key, 'owner')
-- A rolled-back or wiped store knows no owner, or one this caller replaced: it may claim again. Only an owner
-- that claimed later fences it.
if present ~= '' and holder and holder ~= present then
  local epoch = tonumber(string.match(holder, '^(%d+)-')) or 0
  if epoch >= tonumber(string.match(present, '^(%d+)-')) then
    return redis.error_reply('FENCED partition is held by ' .. holder)
  end
end
if holder == present and holder then
  uuid = nil
end
local instruments = call('HGETALL', instruments_key)
if uuid then
  local epoch = call('HINCRBY', meta_key, 'epoch', 1)
  holder = integer(epoch) .. '-' .. uuid
  call('HSET', meta_key, 'owner', holder)
end
return {holder, call('HGETALL', meta_key), instruments}
