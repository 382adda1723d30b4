-- jeton.lua: `http-request lua.jeton POLICY` asks jetond; see haproxy.cfg.
--
-- Allowed: the X-Jeton-* fields are set and txn.jeton_allowed is true. Refused:
-- the client gets jetond's status. Anything else, silence too: 503.

local DOOR = "unix@/run/jeton/jeton-http.sock"
local WAIT_MS = 500 -- HAProxy tries four times

-- What goes to the service of a request that is allowed, and what to the client
-- of one that is not.
local IDENTITY = {"x-jeton-id", "x-jeton-owner", "x-jeton-scopes",
	"x-jeton-env", "x-jeton-expires-in"}
local REASONS = {"www-authenticate", "retry-after", "ratelimit",
	"ratelimit-policy"}
local REFUSALS = {[401] = true, [403] = true, [429] = true}

local function first(fields, name)
	return fields and fields[name] and fields[name][0]
end

-- Only these of the client's fields; every value of them, since two are
-- a reason to refuse.
local function credentials(txn)
	local sent, kept = txn.http:req_get_headers(), {}

	for _, name in ipairs({"authorization", "x-api-key"}) do
		if sent[name] then
			kept[name] = {}
			for i = 0, #sent[name] do
				table.insert(kept[name], sent[name][i])
			end
		end
	end
	return kept
end

local function refuse(txn, status, fields)
	local reply = txn:reply({status = status})

	for _, name in ipairs(REASONS) do
		local value = first(fields, name)

		if value then
			reply:add_header(name, value)
		end
	end
	txn:done(reply)
end

local function allow(txn, fields)
	for _, name in ipairs(IDENTITY) do
		txn.http:req_set_header(name, first(fields, name) or "")
	end
	for var, name in pairs({limit = "ratelimit",
			limits = "ratelimit-policy"}) do
		local value = first(fields, name)

		if value then
			txn:set_var("txn.jeton_" .. var, value)
		end
	end
	txn:set_var("txn.jeton_allowed", true)
end

local function ask(txn, policy)
	local got = core.httpclient():get({
		url = "http://jeton/auth/" .. policy,
		dst = DOOR,
		headers = credentials(txn),
		timeout = WAIT_MS,
	})

	if got.status == 200 then
		allow(txn, got.headers)
	elseif REFUSALS[got.status] then
		refuse(txn, got.status, got.headers)
	else
		refuse(txn, 503, {["retry-after"] = {[0] = "1"}})
	end
end

core.register_action("jeton", {"http-req"}, ask, 1)
