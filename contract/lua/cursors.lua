-- Note how far subscriptions were delivered. KEYS: cursors subscriptions. ARGV: per cursor: subscription record.
-- A record begins with the revision of its subscription: an owner that was paused does not turn back what the next one
-- noted, and what has ended is not noted at all. Returns how many were noted.
local noted = 0
for i = 1, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then
    local known = redis.call('HGET', KEYS[1], ARGV[i])
    if not known or tonumber(string.match(known, '^%d+') or 0) <= tonumber(string.match(ARGV[i + 1], '^%d+')) then
      redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
      noted = noted + 1
    end
  end
end
return noted
