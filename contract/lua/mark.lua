-- A frame is stored: its groups have work. ARGV[3..]: seq group_ttl_ms, then per pipeline: name count group...
-- Returns for each pipeline what `arm` says.
local seq, ttl_ms = ARGV[3], ARGV[4]
local wakes = {}
local i = 5
while i <= #ARGV do
  local pipeline, count = ARGV[i], tonumber(ARGV[i + 1])
  local ready, running = prefix .. 'ready:' .. pipeline, prefix .. 'running:' .. pipeline
  for j = i + 2, i + 1 + count do
    local group = ARGV[j]
    local key = prefix .. 'group:' .. group
    local seen, done = unpack(redis.call('HMGET', key, 'seen', 'done'))
    if not seen or tonumber(seen) < tonumber(seq) then
      redis.call('HSET', key, 'seen', seq)
      redis.call('HINCRBY', key, 'offered', 1)
      if tonumber(seq) > tonumber(done or 0) and not redis.call('ZSCORE', running, group) then
        redis.call('ZADD', ready, 'NX', now, group)
      end
    end
    -- Also when it is known: an unchanged snapshot is marked again and again, and must not become news by expiry.
    redis.call('PEXPIRE', key, ttl_ms)
  end
  redis.call('PEXPIRE', ready, ttl_ms)
  redis.call('PEXPIRE', running, ttl_ms)
  reap(pipeline)
  wakes[#wakes + 1] = arm(pipeline)
  i = i + 2 + count
end
return wakes
