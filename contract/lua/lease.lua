-- Take or keep a camera. KEYS: lease fence. ARGV: owner ttl_ms. Returns the fencing number, or 0 when another has it.
local owner, fence = unpack(redis.call('HMGET', KEYS[1], 'owner', 'fence'))
if owner and owner ~= ARGV[1] then
  return 0
end
if not owner then
  fence = redis.call('INCR', KEYS[2])
  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'fence', fence)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return tonumber(fence)
