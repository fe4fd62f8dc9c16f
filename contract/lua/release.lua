-- Give a camera back. KEYS: lease. ARGV: owner. Returns 1 when it was ours.
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
