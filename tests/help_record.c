/*
 * help_record: see the header.
 */
#include "tests/help_record.h"

#include <criterion/criterion.h>
#include <string.h>

struct jt_record help_create(const struct help_token *token)
{
	struct jt_record r = {.type = JT_REC_CREATE};
	const char *env;
	size_t bytes;

	cr_assert(jt_public_ok(token->text, &env, &bytes));
	memcpy(r.env, env, bytes);
	memcpy(r.token.id, token->text, JT_ID_BYTES);
	jt_token_digest((const uint8_t *)token->text, r.token.digest);
	memcpy(r.token.name, "a name", 6);
	r.token.expires_s = HELP_LATER_S;
	return r;
}

struct jt_record help_import(const char *value, uint8_t scheme)
{
	struct jt_record r = {.type = JT_REC_CREATE, .env = "live"};

	cr_assert(jt_token_digest_other((const uint8_t *)value, strlen(value),
					scheme == JT_VALUE_PREFIXED,
					r.token.digest));
	jt_token_other_id("jt", "live", r.token.digest, r.token.id);
	r.token.scheme = scheme;
	r.token.expires_s = HELP_LATER_S;
	return r;
}

void help_rotate(struct jt_record *r, struct help_token *token,
		 uint64_t old_until_s)
{
	jt_token_remake(r->token.id, token->text);
	token->text[JT_TOKEN_BYTES] = '\0';
	jt_token_digest((const uint8_t *)token->text, r->token.digest);
	r->token.scheme = JT_VALUE_NATIVE;
	r->token.old_until_s = (uint32_t)old_until_s;
	r->type = JT_REC_ROTATE;
}

struct jt_record help_as(struct jt_record r, uint8_t type)
{
	r.type = type;
	return r;
}

struct jt_record help_plan_record(uint16_t number, const char *name,
				  uint64_t rate, uint64_t burst)
{
	struct jt_record r = {.type = JT_REC_PLAN,
			      .plan = {.number = number,
				       .rate = rate,
				       .period_ns = 1000000000,
				       .burst = burst}};

	memcpy(r.plan.name, name, strnlen(name, JT_PLAN_MAX));
	return r;
}

struct jt_record help_scope_record(uint16_t number, const char *name)
{
	struct jt_record r = {.type = JT_REC_SCOPE,
			      .scope = {.number = number}};

	memcpy(r.scope.name, name, strnlen(name, JT_SCOPE_MAX));
	return r;
}

struct jt_record help_set_record(uint16_t number, unsigned first, unsigned last)
{
	struct jt_record r = {.type = JT_REC_SCOPES,
			      .scopes = {.number = number}};

	for (unsigned i = first; i <= last; i++)
		r.scopes.bits[(i - 1) / 8] |= (uint8_t)(1u << (i - 1) % 8);
	return r;
}
