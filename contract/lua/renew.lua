-- A batch takes long: prolong the leases that it still holds. ARGV[3..]: pipeline batch lease_ms group...
-- Returns how many it still holds.
local held = 0
for i = 6, #ARGV do
  if redis.call('HGET', prefix .. 'group:' .. ARGV[i], 'lease') == ARGV[4] then
    redis.call('ZADD', prefix .. 'running:' .. ARGV[3], 'XX', now + tonumber(ARGV[5]), ARGV[i])
    held = held + 1
  end
end
return held
