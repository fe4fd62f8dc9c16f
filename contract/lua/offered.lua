-- KEYS: groups. Returns for each how many frames were offered to it, 0 when it is unknown.
local counts = {}
for i, key in ipairs(KEYS) do
  counts[i] = tonumber(redis.call('HGET', key, 'offered') or 0)
end
return counts
