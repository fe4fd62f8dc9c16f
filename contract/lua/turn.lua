-- A worker's turn: finish what it computed, claim what is next. ARGV[3..]:
--   pipeline batch finished_batch answers_wake stay_ms room lease_ms retention_ms max_bytes group_ttl_ms items,
--   then per item: group seq tracks entries, then per entry: subscription captured_ms nothing body
-- Returns {version, wake, refused, group, seen, done, tracks, group, ...}.
local pipeline, batch, finished = ARGV[3], ARGV[4], ARGV[5]
local stay_ms = tonumber(ARGV[7])
local room, lease_ms, retention_ms = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local max_bytes, ttl_ms = tonumber(ARGV[11]), ARGV[12]
local ready, running = prefix .. 'ready:' .. pipeline, prefix .. 'running:' .. pipeline
local stream = prefix .. 'detections'
local refused, added = 0, 0

if ARGV[6] == '1' then
  redis.call('DEL', prefix .. 'wake:' .. pipeline)
end

-- Finish: only what this batch still holds; anything else was taken over, and its new holder's word counts.
local i = 14
for _ = 1, tonumber(ARGV[13]) do
  local group, seq, tracks, entries = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local key = prefix .. 'group:' .. group
  local seen, done, lease = unpack(redis.call('HMGET', key, 'seen', 'done', 'lease'))
  if lease ~= finished then
    refused = refused + 1
  else
    redis.call('HDEL', key, 'lease', 'tries')
    redis.call('ZREM', running, group)
    if tonumber(seq) > tonumber(done or 0) then
      redis.call('HSET', key, 'done', seq, 'tracks', tracks)
      redis.call('PEXPIRE', key, ttl_ms)
      for e = i + 4, i + 3 + entries * 4, 4 do
        redis.call('XADD', stream, '*', 's', ARGV[e], 'c', ARGV[e + 1], 'n', ARGV[e + 2], 'b', ARGV[e + 3])
        added = added + 1
      end
      done = seq
    end
    if tonumber(seen) > tonumber(done or 0) then
      redis.call('ZADD', ready, 'NX', now, group)
    else
      redis.call('ZREM', ready, group)
    end
  end
  i = i + 4 + entries * 4
end
if added > 0 then
  redis.call('XTRIM', stream, 'MINID', '~', math.floor(now) - retention_ms)
  -- By memory: what the server says of five of the stream's nodes, times their number.
  local bytes = redis.call('MEMORY', 'USAGE', stream)
  if bytes and bytes > max_bytes then
    redis.call('XTRIM', stream, 'MAXLEN', '~', math.floor(redis.call('XLEN', stream) * max_bytes / bytes))
  end
end

reap(pipeline)

-- Claim: oldest first. A group that was reaped twice is claimed alone, so that what it does to a worker hurts no other.
local reply = {}
if room > 0 then
  for _, group in ipairs(redis.call('ZRANGEBYSCORE', ready, '-inf', now, 'LIMIT', 0, room * 4)) do
    local key = prefix .. 'group:' .. group
    local seen, done, tries, tracks = unpack(redis.call('HMGET', key, 'seen', 'done', 'tries', 'tracks'))
    if not seen or tonumber(seen) <= tonumber(done or 0) then
      redis.call('ZREM', ready, group)
    else
      local alone = tonumber(tries or 0) >= 2
      if not alone or #reply == 0 then
        redis.call('HSET', key, 'lease', batch)
        redis.call('ZREM', ready, group)
        redis.call('ZADD', running, now + lease_ms, group)
        for _, value in ipairs({ group, seen, done or '0', tracks or '' }) do
          reply[#reply + 1] = value
        end
      end
      if alone or #reply >= room * 4 then
        break
      end
    end
  end
end

redis.call('PEXPIRE', ready, ttl_ms)
redis.call('PEXPIRE', running, ttl_ms)
if stay_ms == 0 then
  redis.call('DEL', prefix .. 'waits:' .. pipeline)
end
local wake = arm(pipeline)
if stay_ms > 0 and #reply == 0 then
  -- It waits for the bell, sooner there than a wake-up; if it dies instead, this is soon forgotten.
  redis.call('SET', prefix .. 'waits:' .. pipeline, 1, 'PX', stay_ms)
  redis.call('DEL', prefix .. 'bell:' .. pipeline)
end

return { redis.call('GET', prefix .. 'version') or '0', wake, refused, unpack(reply) }
