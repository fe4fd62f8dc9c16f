-- Store a frame unless a newer one is there. KEYS: frame. ARGV: ttl_ms seq captured_ms width height jpeg. Returns 0 or 1.
local stored = redis.call('HGET', KEYS[1], 'seq')
if stored and tonumber(stored) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('HSET', KEYS[1], 'seq', ARGV[2], 'captured_ms', ARGV[3], 'width', ARGV[4], 'height', ARGV[5], 'jpeg', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
