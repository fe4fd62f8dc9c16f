-- Shared by mark, turn and renew: the clock, and the two moves that keep work from being lost.
-- ARGV[1] is the key prefix, ARGV[2] the wake expiry in ms. All times are this server's, in ms; with
-- their microseconds, so that two groups marked in the same millisecond still have an order (fairness).
local prefix, wake_ms = ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000

local WAKE_KEPT_MS, BELL_KEPT_MS = 60000, 1000
local FIRST_DELAY_MS, LONGEST_DELAY_MS = 250, 30000
local REAPED_AT_ONCE = 64

-- Groups whose lease is over are ready again: at once after the first time, later and later after more of them.
local function reap(pipeline)
  local ready, running = prefix .. 'ready:' .. pipeline, prefix .. 'running:' .. pipeline
  for _, group in ipairs(redis.call('ZRANGEBYSCORE', running, '-inf', now, 'LIMIT', 0, REAPED_AT_ONCE)) do
    redis.call('ZREM', running, group)
    local key = prefix .. 'group:' .. group
    local seen, done = unpack(redis.call('HMGET', key, 'seen', 'done'))
    if seen then
      redis.call('HDEL', key, 'lease')
      local tries = redis.call('HINCRBY', key, 'tries', 1)
      if tonumber(seen) > tonumber(done or 0) then
        local delay = tries < 2 and 0 or math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ^ (tries - 2))
        redis.call('ZADD', ready, now + delay, group)
      end
    end
  end
end

-- What is claimable must be taken by someone: a worker that waits for it is rung, else a wake-up may be due.
-- 0: none is due. 1: send one. 2: the last one was never answered: send one if the queue is empty.
local function arm(pipeline)
  if #redis.call('ZRANGEBYSCORE', prefix .. 'ready:' .. pipeline, '-inf', now, 'LIMIT', 0, 1) == 0 then
    return 0
  end
  if redis.call('EXISTS', prefix .. 'waits:' .. pipeline) == 1 then
    local bell = prefix .. 'bell:' .. pipeline
    if redis.call('EXISTS', bell) == 0 then
      redis.call('RPUSH', bell, 1)
      redis.call('PEXPIRE', bell, BELL_KEPT_MS)
    end
    return 0
  end
  local wake = prefix .. 'wake:' .. pipeline
  local sent = redis.call('GET', wake)
  if sent and now - tonumber(sent) < wake_ms then
    return 0
  end
  redis.call('SET', wake, now, 'PX', WAKE_KEPT_MS)
  return sent and 2 or 1
end
