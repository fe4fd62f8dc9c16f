-- KEYS: frames. Returns for each whether it is there: 1 or 0.
local there = {}
for i, key in ipairs(KEYS) do
  there[i] = redis.call('EXISTS', key)
end
return there
