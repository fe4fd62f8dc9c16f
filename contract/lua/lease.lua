-- Take or keep a camera. KEYS: lease fence. ARGV: owner ttl_ms at_least. Returns the fencing number, or 0 when another
-- has it. A new number is above `at_least`: a server that lost its memory must not give out small ones again.
local owner, fence = unpack(redis.call('HMGET', KEYS[1], 'owner', 'fence'))
if owner and owner ~= ARGV[1] then
  return 0
end
if not owner then
  if tonumber(redis.call('GET', KEYS[2]) or 0) < tonumber(ARGV[3]) then
    redis.call('SET', KEYS[2], ARGV[3])
  end
  fence = redis.call('INCR', KEYS[2])
  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'fence', fence)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return tonumber(fence)
