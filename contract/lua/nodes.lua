-- Who lives. KEYS: nodes. ARGV: what a sign's key begins with. Forgets those whose sign has expired.
-- Returns the time (s, us), then for each of the living: its sign, ms that the sign has left.
local living = redis.call('TIME')
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local key = ARGV[1] .. id
  local sign = redis.call('GET', key)
  if sign then
    living[#living + 1] = sign
    living[#living + 1] = redis.call('PTTL', key)
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return living
