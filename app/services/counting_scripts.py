"""What Redis does for those who count together: each script is one atomic step.

For each limit there are three keys: the number of all that is used, reserved or held in a chunk; who holds room that
nobody uses (``realms:free:``, by worker); and what each worker's chunk comes to (``realms:chunk:``: ``h`` of what it
holds, ``t`` of what it has told was used, ever). What a call or a worker holds falls away with its lease.

What calls and workers hold and use is passed on as it was told, not as a number of Lua's: those are floats, exact to
2^53, and Redis refuses one from 10^17 on, which is "1e+17" there. Only what is compared is one, and what comes of that:
beyond 2^53 nano-dollars (9 million dollars) a limit may be passed by some, at two billion dollars by 256 of them.
"""

KEEP_S = 86_400
"""How long a number without an end is kept after it was last used; what was spent is then asked of the database."""

TAKE = """
local call, until_ms, worker, recall = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local used, granted, at = {}, {}, 5
for i, key in ipairs(KEYS) do
  local value = redis.call('GET', key)
  if not value then
    value = ARGV[at + 2]
    if value == '' then return {'base', i} end
    local begun = redis.call('GET', 'realms:begins:' .. key)
    if begun then
      redis.call('SET', key, value, 'EX', ARGV[at + 3])
      value = redis.call('INCRBY', key, begun)
      redis.call('DEL', 'realms:begins:' .. key)
    end
  end
  used[i] = value
  if tonumber(value) + tonumber(ARGV[at]) > tonumber(ARGV[at + 1]) then
    if redis.call('EXISTS', 'realms:free:' .. key) == 0 then return {'full', i, value} end
    redis.call('PUBLISH', recall, key)
    return {'wait', i, value}
  end
  at = at + 6
end
at = 5
for i, key in ipairs(KEYS) do
  local amount, most, keep, falls = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 3], ARGV[at + 4] == '1'
  redis.call('SET', key, used[i], 'NX')
  used[i] = redis.call('INCRBY', key, ARGV[at])
  if falls then redis.call('HSET', 'realms:lease:' .. call, key, ARGV[at]) end
  local chunk = math.min(tonumber(ARGV[at + 5]), math.floor((most - used[i]) / 20))
  granted[i] = 0
  if chunk >= 2 * amount then
    granted[i] = chunk
    redis.call('INCRBY', key, chunk)
    redis.call('HINCRBY', 'realms:free:' .. key, worker, chunk)
    redis.call('HINCRBY', 'realms:chunk:' .. key, 'h' .. worker, chunk)
    redis.call('HINCRBY', 'realms:lease:' .. worker, key, falls and chunk or 0)
    redis.call('ZADD', 'realms:leases', until_ms, worker)
    redis.call('EXPIRE', 'realms:free:' .. key, keep)
    redis.call('EXPIRE', 'realms:chunk:' .. key, keep)
  elseif most - used[i] < 40 * amount and redis.call('EXISTS', 'realms:free:' .. key) == 1 then
    redis.call('PUBLISH', recall, key)
  end
  redis.call('EXPIRE', key, keep)
  at = at + 6
end
if redis.call('EXISTS', 'realms:lease:' .. call) == 1 then redis.call('ZADD', 'realms:leases', until_ms, call) end
for i = 1, #KEYS do used[#KEYS + i] = granted[i] end
return {'ok', unpack(used)}
"""
"""Reserves all that a call needs, or nothing. For each key: amount, most, what was used before ('' is unknown and has
to be asked for), seconds to keep it, whether a dead worker's reservation falls away, and the chunk that its worker
would hold as well: it gets a twentieth of what is left at most, and none near the limit, where others' are called
back."""

GIVE = f"""
local lease, kept, again = 'realms:lease:' .. ARGV[1], 'realms:kept:' .. ARGV[1], ARGV[2] == '1'
for i, key in ipairs(KEYS) do
  local amount, used, keep = ARGV[2 * i + 1], ARGV[2 * i + 2], ARGV[2 * #KEYS + 2 + i]
  local held, into = redis.call('HEXISTS', lease, key) == 1, key
  if redis.call('EXISTS', key) == 0 then into = 'realms:begins:' .. key end
  local given = again and not held and (not keep or redis.call('HEXISTS', kept, key) == 1)
  if not given and redis.call('EXISTS', into) == 1 then
    redis.call('INCRBY', into, used)
    if held then redis.call('DECRBY', into, amount) end
    if keep and into == key then
      redis.call('HSET', kept, key, used)
      redis.call('EXPIRE', kept, {KEEP_S})
      redis.call('EXPIRE', key, keep)
    end
  end
end
redis.call('DEL', lease)
return redis.call('ZREM', 'realms:leases', ARGV[1])
"""
"""Brings reservations to what was used, and ends the lease. For each key: what was reserved, and what was used. Of a
reservation that is not there any more nothing has to be taken back; where no answer came before, it was already.

Of a call of which more may be told later those of money come first, and after all pairs for how long each of them is
kept; what it comes to there is kept by its id (``realms:kept:``). A number without an end lives for as long as that at
least, and one with an end begins only once: so a number that is there has this call in it, as long as that is kept."""

COMPLETE = """
local kept = 'realms:kept:' .. ARGV[1]
local counted = redis.call('HGETALL', kept)
for i = 1, #counted, 2 do
  local key = counted[i]
  if redis.call('EXISTS', key) == 1 then
    redis.call('INCRBY', key, ARGV[2])
    redis.call('DECRBY', key, counted[i + 1])
    redis.call('HSET', kept, key, ARGV[2])
  end
end
"""
"""Brings what numbers have of a call that was given back before to what it cost after all: a second time changes
nothing."""

JOIN = """
local key, into = KEYS[1], KEYS[1]
if redis.call('EXISTS', key) == 0 then into = 'realms:begins:' .. key end
redis.call('INCRBY', into, ARGV[3])
for i = 4, #ARGV, 2 do
  redis.call('HSET', 'realms:lease:' .. ARGV[i], key, ARGV[i + 1])
  redis.call('ZADD', 'realms:leases', ARGV[1], ARGV[i])
  redis.call('INCRBY', into, ARGV[i + 1])
end
if into ~= key then redis.call('EXPIRE', into, 2) end
redis.call('INCR', 'realms:joined:' .. ARGV[2])
return redis.call('EXPIRE', 'realms:joined:' .. ARGV[2], 10)
"""
"""Brings what one worker has under way into a count that begins: the end of its leases, the question that it answers,
what ended calls cost, and each call with what it reserves. Until the sums were asked all of that is kept aside
(``realms:begins:``); ``TAKE`` adds it to what they said."""

RESTORE = """
local lease = 'realms:lease:' .. ARGV[1]
for i = 3, #ARGV, 4 do
  local key = ARGV[i]
  if redis.call('HEXISTS', lease, key) == 0 and (ARGV[i + 3] == '1' or redis.call('EXISTS', key) == 1) then
    redis.call('INCRBY', key, ARGV[i + 1])
    redis.call('EXPIRE', key, ARGV[i + 2])
    redis.call('HSET', lease, key, ARGV[i + 1])
  end
end
if redis.call('EXISTS', lease) == 1 then redis.call('ZADD', 'realms:leases', ARGV[2], ARGV[1]) end
"""
"""Reserves again what a call holds and Redis has forgotten. For each key: itself, the amount, seconds to keep it, and
whether it counts from nothing; what was spent before has to be asked for first, by the next call."""

TELL = """
local worker, at, told = ARGV[1], 3, {}
local lease = 'realms:lease:' .. worker
for i, key in ipairs(KEYS) do
  local spent, held, free, falls = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local chunk, frees = 'realms:chunk:' .. key, 'realms:free:' .. key
  local t, h = 't' .. worker .. ARGV[at + 5], 'h' .. worker
  if redis.call('EXISTS', key) == 0 then
    redis.call('HSET', chunk, t, spent, h, 0)
    redis.call('HDEL', lease, key)
    redis.call('HDEL', frees, worker)
    told[i] = -1
  else
    redis.call('INCRBY', key, spent)
    redis.call('DECRBY', key, redis.call('HGET', chunk, t) or 0)
    redis.call('INCRBY', key, held)
    told[i] = redis.call('DECRBY', key, redis.call('HGET', chunk, h) or 0)
    redis.call('HSET', chunk, t, spent, h, held)
    if tonumber(free) > 0 then redis.call('HSET', frees, worker, free) else redis.call('HDEL', frees, worker) end
    if tonumber(held) > 0 then
      redis.call('HSET', lease, key, falls == '1' and held or 0)
    else
      redis.call('HDEL', lease, key)
    end
    redis.call('EXPIRE', frees, ARGV[at + 4])
  end
  redis.call('EXPIRE', chunk, ARGV[at + 4])
  at = at + 6
end
if redis.call('EXISTS', lease) == 1 then
  redis.call('ZADD', 'realms:leases', ARGV[2], worker)
else
  redis.call('ZREM', 'realms:leases', worker)
end
return told
"""
"""Tells what a worker's chunks come to: used ever, held, free. What Redis thought otherwise is brought to that, so that
an answer that was lost, a lease that fell away and a Redis that forgot everything do no harm."""

SWEPT_AT_ONCE = 100
SWEEP = f"""
local dead = redis.call('ZRANGEBYSCORE', 'realms:leases', '-inf', ARGV[1], 'LIMIT', 0, {SWEPT_AT_ONCE})
for _, call in ipairs(dead) do
  local held = redis.call('HGETALL', 'realms:lease:' .. call)
  for i = 1, #held, 2 do
    if redis.call('EXISTS', held[i]) == 1 then redis.call('DECRBY', held[i], held[i + 1]) end
    redis.call('HDEL', 'realms:free:' .. held[i], call)
    redis.call('HDEL', 'realms:chunk:' .. held[i], 'h' .. call)
  end
  redis.call('DEL', 'realms:lease:' .. call)
  redis.call('ZREM', 'realms:leases', call)
end
return #dead
"""
"""Takes back what calls of dead workers had reserved, and what those held in chunks; returns of how many."""
