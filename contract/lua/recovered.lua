-- Trouble is over. KEYS: told problems. ARGV: retention_ms subscription code text. Returns 1 when it had been told.
if redis.call('DEL', KEYS[1]) == 0 then
  return 0
end
local clock = redis.call('TIME')
redis.call('XADD', KEYS[2], 'MINID', '~', clock[1] * 1000 - ARGV[1], '*', 's', ARGV[2], 'k', ARGV[3], 't', ARGV[4])
return 1
