-- The work of `VERIFY token` as a Redis script: what a service would write that
-- keeps its tokens in Redis hashes. One HMGET, the checks in jeton's order, one
-- HSET; the reply has the fields of jeton's. Microseconds; GCRA as in
-- shm/meter.h: `tat` is the theoretical arrival time. The server's own clock is
-- asked (TIME, some 12 % of the whole), because a caller whose clock counted
-- could set his own limit.
local f = redis.call('HMGET', KEYS[1], 'state', 'expires', 'interval', 'burst',
	'tat', 'owner')
if not f[1] then
	return {'UNKNOWN', 401}
end
if f[1] ~= 'active' then
	return {'REVOKED', 401}
end
local t = redis.call('TIME')
local left = tonumber(f[2]) - t[1]
if left <= 0 then
	return {'EXPIRED', 401}
end
local now = t[1] * 1000000 + t[2]
local interval = tonumber(f[3])
local burst = tonumber(f[4])
local tat = math.max(tonumber(f[5]), now) + interval
local ahead = tat - now
if ahead > interval * burst then
	return {'RATE_LIMITED', 429}
end
redis.call('HSET', KEYS[1], 'tat', tat)
return {'VALID', 200, string.sub(KEYS[1], 1, 24), left, burst,
	math.floor(burst - ahead / interval), math.ceil(ahead / 1000), 0, f[6],
	0, ''}
