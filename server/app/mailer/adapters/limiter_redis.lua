-- The sums of domain/delivery/pacing.py, done in Redis, where they are atomic and one clock counts.
--
-- limiter_redis.py puts the numbers of pacing.py and the clock before this, and the name of one of
-- the verbs below behind it. Numbers are kept and answered with 17 digits: Redis would cut them.
-- Every key is made to vanish when it has nothing to tell any more.

local PREFIX = 'mm:'
local LONGEST_MS = 400 * 86400 * 1000

local function exact(number)
  return string.format('%.17g', number)
end

local function expire(name, seconds)
  redis.call('PEXPIRE', name, string.format('%.0f', math.min(seconds * 1000 + 1000, LONGEST_MS)))
end

-- ------------------------------------------------------------------ pace

local function read_pace(key)
  local name = PREFIX .. 'pace:' .. key
  local has = redis.call('HMGET', name, 'next', 'share_then', 'slowed_at', 'reached')
  return {
    name = name,
    next = tonumber(has[1] or '-inf'),
    share_then = tonumber(has[2] or 1),
    slowed_at = tonumber(has[3] or 0),
    reached = tonumber(has[4] or 0),
  }
end

local function write_pace(pace, at)
  redis.call('HSET', pace.name, 'next', exact(pace.next), 'share_then', exact(pace.share_then),
    'slowed_at', exact(pace.slowed_at), 'reached', exact(pace.reached))
  expire(pace.name, math.max(0, pace.next - at) + FULLY_RECOVERED * 60)
end

local function share_of(pace, now)
  if pace.share_then >= 1 then
    return 1
  end
  local minutes = math.min(math.max(0, now - pace.slowed_at) / 60, FULLY_RECOVERED)
  return math.min(1, pace.share_then * RECOVERY_PER_MINUTE ^ minutes)
end

local function base_of(pace, allowed, now)
  if not allowed and share_of(pace, now) < 1 then
    return pace.reached
  end
  return allowed
end

local function pace_wait(pace, allowed, now)
  return base_of(pace, allowed, now) and math.max(0, pace.next - now) or 0
end

local function pace_take(pace, allowed, at, now)
  local base = base_of(pace, allowed, at)
  if base then
    pace.next = math.max(pace.next, at - GRACE) + STRETCH * 60 / (base * share_of(pace, at))
    write_pace(pace, now)
  end
end

-- ------------------------------------------------------------------ budgets

local function budget_of(span, key)
  return { name = PREFIX .. span.name .. ':' .. key, span = span }
end

-- Its buckets, and leaves out what is older than the span.
local function buckets_of(budget, now)
  local oldest = math.floor(now / budget.span.seconds) - budget.span.buckets
  local known = tonumber(redis.call('HGET', budget.name, 'oldest') or '-inf')
  if oldest > known then
    local has, old, gone = redis.call('HGETALL', budget.name), {}, 0
    for i = 1, #has, 2 do
      local bucket = tonumber(has[i])
      if bucket and bucket < oldest then
        old[#old + 1] = has[i]
        gone = gone + tonumber(has[i + 1])
      end
    end
    if #old > 0 then
      redis.call('HDEL', budget.name, unpack(old))
    end
    redis.call('HINCRBY', budget.name, 'used', string.format('%.0f', 0 - gone))
    redis.call('HSET', budget.name, 'oldest', string.format('%.0f', oldest))
    known = oldest
  end
  return known
end

local function used_of(budget, now)
  buckets_of(budget, now)
  return tonumber(redis.call('HGET', budget.name, 'used') or 0)
end

local function budget_wait(budget, now)
  local left = used_of(budget, now)
  if left < budget.limit then
    return 0
  end
  local has, counts, order = redis.call('HGETALL', budget.name), {}, {}
  for i = 1, #has, 2 do
    local bucket = tonumber(has[i])
    if bucket then
      counts[bucket] = tonumber(has[i + 1])
      order[#order + 1] = bucket
    end
  end
  table.sort(order)
  for _, bucket in ipairs(order) do
    left = left - counts[bucket]
    if left < budget.limit then
      return (bucket + budget.span.buckets + 1) * budget.span.seconds - now
    end
  end
  return math.huge
end

local function budget_add(budget, bucket, count, now)
  local span = budget.span
  redis.call('HINCRBY', budget.name, string.format('%.0f', bucket), string.format('%.0f', count))
  redis.call('HINCRBY', budget.name, 'used', string.format('%.0f', count))
  local until_then = (bucket + span.buckets + 1) * span.seconds - now
  if until_then * 1000 > redis.call('PTTL', budget.name) then
    expire(budget.name, until_then)
  end
end

-- Gives each allowance the budgets that it asks for. Those of whose past nothing is known: their
-- places in the list.
local function strangers(allowances)
  local found = {}
  for i, allowance in ipairs(allowances) do
    allowance.budgets = {}
    for _, span in ipairs(SPANS) do
      local limit = allowance['per_' .. span.name]
      if limit then
        local budget = budget_of(span, allowance.key)
        budget.limit = limit
        table.insert(allowance.budgets, budget)
        if found[#found] ~= i and redis.call('EXISTS', budget.name) == 0 then
          found[#found + 1] = i
        end
      end
    end
  end
  return found
end

-- What is sent while a budget is not asked for is not counted: then it has to be asked for again.
local function forget_others(allowances)
  local asked = {}
  for _, allowance in ipairs(allowances) do
    for _, span in ipairs(SPANS) do
      local name = budget_of(span, allowance.key).name
      asked[name] = asked[name] or allowance['per_' .. span.name] ~= nil
    end
  end
  for name, is_asked in pairs(asked) do
    if not is_asked then
      redis.call('UNLINK', name)
    end
  end
end

-- ------------------------------------------------------------------ connections

local function living(key, now)
  local name = PREFIX .. 'connections:' .. key
  local has, owners, total = redis.call('HGETALL', name), {}, 0
  for i = 1, #has, 2 do
    local count, until_then = string.match(has[i + 1], '^(%d+) (.+)$')
    if tonumber(until_then) < now then
      redis.call('HDEL', name, has[i])
    else
      owners[has[i]] = tonumber(count)
      total = total + tonumber(count)
    end
  end
  return name, owners, total
end

-- ------------------------------------------------------------------ verbs

-- patience, allowances -> seconds to wait | {places of strangers}
local function reserve()
  local patience, allowances = tonumber(ARGV[1]), cjson.decode(ARGV[2])
  local unknown = strangers(allowances)
  if #unknown > 0 then
    return unknown
  end
  forget_others(allowances)
  local now, wait = now_in_seconds(), 0
  for _, each in ipairs(allowances) do
    each.pace = read_pace(each.key)
    wait = math.max(wait, pace_wait(each.pace, each.per_minute, now))
    for _, budget in ipairs(each.budgets) do
      wait = math.max(wait, budget_wait(budget, now))
    end
  end
  if wait <= patience and wait < math.huge then
    local at = now + wait
    for _, each in ipairs(allowances) do
      pace_take(each.pace, each.per_minute, at, now)
      for _, budget in ipairs(each.budgets) do
        budget_add(budget, math.floor((at + LATEST) / budget.span.seconds), 1, now)
      end
    end
  end
  return exact(wait)
end

-- allowance, [[seconds ago, how many], …]: counts only where nothing is known yet
local function seed()
  local allowance, sent, now = cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), now_in_seconds()
  strangers({ allowance })
  for _, budget in ipairs(allowance.budgets) do
    if redis.call('EXISTS', budget.name) == 0 then
      local oldest = buckets_of(budget, now)
      expire(budget.name, (budget.span.buckets + 1) * budget.span.seconds)
      for _, pair in ipairs(sent) do
        local bucket = math.floor((now - math.max(0, pair[1])) / budget.span.seconds)
        if bucket >= oldest then
          budget_add(budget, bucket, pair[2], now)
        end
      end
    end
  end
  return 1
end

-- key, letters a minute
local function slow_down()
  local pace, per_minute, now = read_pace(ARGV[1]), tonumber(ARGV[2]), now_in_seconds()
  local share = share_of(pace, now)
  if share >= 1 then
    pace.reached = per_minute
  end
  pace.share_then = math.max(SLOWEST_SHARE, share / 2)
  pace.slowed_at = now
  pace.next = math.max(pace.next, now + STRETCH * 60 / (per_minute * pace.share_then))
  write_pace(pace, now)
  return 1
end

-- key -> letters a minute | false
local function slowed()
  local pace, now = read_pace(ARGV[1]), now_in_seconds()
  local share = share_of(pace, now)
  return share < 1 and exact(pace.reached * share)
end

-- key, owner, wanted, at most -> how many
local function enter()
  local key, owner, wanted, at_most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
  local now = now_in_seconds()
  local name, owners, total = living(key, now)
  local granted = math.max(0, math.min(wanted, at_most - (total - (owners[owner] or 0))))
  if granted > 0 then
    redis.call('HSET', name, owner, granted .. ' ' .. exact(now + HOLD_SECONDS))
    expire(name, HOLD_SECONDS)
  else
    redis.call('HDEL', name, owner)
  end
  return granted
end

-- key, owner
local function leave()
  redis.call('HDEL', PREFIX .. 'connections:' .. ARGV[1], ARGV[2])
  return 1
end

-- allowances -> {pace | false, share, wait, this hour | false, today | false, connections} of each
--             | {places of strangers}
local function standing()
  local allowances = cjson.decode(ARGV[1])
  local unknown = strangers(allowances)
  if #unknown > 0 then
    return unknown
  end
  local now, found = now_in_seconds(), {}
  for i, each in ipairs(allowances) do
    local pace = read_pace(each.key)
    local share, base = share_of(pace, now), base_of(pace, each.per_minute, now)
    local wait, used = pace_wait(pace, each.per_minute, now), {}
    for _, budget in ipairs(each.budgets) do
      wait = math.max(wait, budget_wait(budget, now))
      used[budget.span.name] = used_of(budget, now)
    end
    local _, _, connections = living(each.key, now)
    found[i] = {
      base and exact(base * share) or false, exact(share), exact(wait),
      used.hour or false, used.day or false, connections,
    }
  end
  return found
end
