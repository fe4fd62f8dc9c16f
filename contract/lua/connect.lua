-- When the next connection may be made. ARGV: per key of KEYS: ms between two, how many may come at once. Returns ms to wait.
-- The generic cell rate algorithm (ITU-T I.371): each key holds the time at which its next connection would be due.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local wait = 0
for i, key in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local due = math.max(now, tonumber(redis.call('GET', key) or 0))
  wait = math.max(wait, due - (burst - 1) * interval - now)
  redis.call('SET', key, due + interval, 'PX', math.ceil(due + interval - now))
end
return math.ceil(wait)
