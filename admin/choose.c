/* choose: see choose.h. */
#include "admin/choose.h"
#include "admin/expiry.h"

#include <fnmatch.h>
#include <string.h>

static bool is_status(const char *text)
{
	static const char *const known[] = {"active", "expired", "suspended",
					    "revoked"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(text, known[i]) == 0)
			return true;
	return false;
}

int jt_choice_read(const struct jt_cmd *cmd, uint64_t mask, uint64_t now_s,
		   struct jt_choice *c)
{
	const struct jt_args *a = &cmd->args;
	uint64_t span_s;
	int e;

	*c = (struct jt_choice){
		.owner = mask & JT_BIT(owner) ? a->owner : NULL,
		.env = mask & JT_BIT(env) ? a->env : NULL,
		.name = mask & JT_BIT(name) ? a->name : NULL,
		.plan = mask & JT_BIT(plan) ? a->plan : NULL,
		.status = mask & JT_BIT(status) ? a->status : NULL,
		.now_s = now_s,
	};
	c->any = (a->given & mask) != 0;
	if (c->status && !is_status(c->status))
		return jt_fail(JT_EXIT_USAGE, "--status is active, expired, "
					      "suspended or revoked");
	if (mask & JT_BIT(expiring_within) && a->expiring_within) {
		e = jt_span_parse(a->expiring_within, now_s, &span_s);
		if (e)
			return jt_fail(JT_EXIT_USAGE, "--expiring-within %s",
				       jt_span_why(e));
		c->expires_from_s = now_s + 1;
		c->expires_until_s = now_s + span_s;
	}
	if (mask & JT_BIT(dead_for) && a->dead_for) {
		e = jt_span_parse(a->dead_for, now_s, &span_s);
		if (e || span_s >= now_s)
			return jt_fail(JT_EXIT_USAGE, "--dead-for %s",
				       jt_span_why(e));
		c->dead_until_s = now_s - span_s;
	}
	return 0;
}

/* Is a zero-padded field that text? */
static bool is_text(const char *field, size_t max, const char *text)
{
	size_t n = strlen(text);

	return n <= max && memcmp(field, text, n) == 0 &&
	       (n == max || field[n] == '\0');
}

static bool fits_glob(const char *field, const char *glob)
{
	char name[JT_NAME_MAX + 1] = "";

	memcpy(name, field, strnlen(field, JT_NAME_MAX));
	return fnmatch(glob, name, 0) == 0;
}

uint64_t jt_card_died_s(const struct jt_card *card, uint64_t now_s)
{
	if (card->type == JT_REC_REVOKE)
		return card->changed_s;
	return now_s >= card->expires_s ? card->expires_s : 0;
}

bool jt_choice_fits(const struct jt_choice *c, const struct jt_catalog *catalog,
		    const struct jt_card *card)
{
	uint64_t died_s = jt_card_died_s(card, c->now_s);

	if (!jt_card_lives(card) ||
	    (c->not_revoked && card->type == JT_REC_REVOKE))
		return false;
	if (c->owner && !is_text(card->owner, JT_OWNER_MAX, c->owner))
		return false;
	if (c->env && !is_text(card->env, JT_ENV_MAX, c->env))
		return false;
	if (c->name && !fits_glob(card->name, c->name))
		return false;
	if (c->plan && !(card->plan && is_text(catalog->plans[card->plan].name,
					       JT_PLAN_MAX, c->plan)))
		return false;
	if (c->status &&
	    strcasecmp(c->status, jt_card_status(card, c->now_s)) != 0)
		return false;
	if (c->expires_until_s && (card->type == JT_REC_REVOKE ||
				   card->expires_s < c->expires_from_s ||
				   card->expires_s > c->expires_until_s))
		return false;
	return !c->dead_until_s || (died_s && died_s <= c->dead_until_s);
}
