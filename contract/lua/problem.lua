-- Tell of trouble once. KEYS: told problems. ARGV: quiet_ms retention_ms subscription code text. Returns 1 when it is news.
if not redis.call('SET', KEYS[1], ARGV[4], 'NX', 'PX', ARGV[1]) then
  return 0
end
local clock = redis.call('TIME')
redis.call('XADD', KEYS[2], 'MINID', '~', clock[1] * 1000 - ARGV[2], '*', 's', ARGV[3], 'k', ARGV[4], 't', ARGV[5])
return 1
