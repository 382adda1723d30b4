-- The work of verify.lua with a token's fields packed into one string: one GET
-- and one SET instead of HMGET and HSET. Active 1 byte, expires, interval and
-- burst 4 each, tat 8 (a double: microseconds are whole up to 2^53), owner.
local v = redis.call('GET', KEYS[1])
if not v then
	return {'UNKNOWN', 401}
end
local active, expires, interval, burst, tat, owner =
	struct.unpack('<BI4I4I4ds', v)
if active ~= 1 then
	return {'REVOKED', 401}
end
local t = redis.call('TIME')
local left = expires - t[1]
if left <= 0 then
	return {'EXPIRED', 401}
end
local now = t[1] * 1000000 + t[2]
tat = math.max(tat, now) + interval
local ahead = tat - now
if ahead > interval * burst then
	return {'RATE_LIMITED', 429}
end
redis.call('SET', KEYS[1],
	struct.pack('<BI4I4I4ds', 1, expires, interval, burst, tat, owner))
return {'VALID', 200, string.sub(KEYS[1], 1, 24), left, burst,
	math.floor(burst - ahead / interval), math.ceil(ahead / 1000), 0, owner,
	0, ''}
