/* jeton renew: another expiry in place; the value stays as it is. */
#include "admin/amend.h"
#include "admin/draft.h"
#include "admin/expiry.h"

static int check(struct jt_amend *a)
{
	uint64_t expires_s;
	int e;

	if (!a->cmd->args.expires)
		return jt_fail(JT_EXIT_USAGE, "until when? Give --expires, "
					      "like 90d or 2027-03-31");
	e = jt_expiry_parse(a->cmd->args.expires, a->now_s, &expires_s);
	return e ? jt_fail(JT_EXIT_USAGE, "--expires %s", jt_expiry_why(e)) : 0;
}

static int refuse(const struct jt_amend *a, const struct jt_found *f,
		  uint64_t expires_s)
{
	char now[JT_TIME_TEXT], then[JT_TIME_TEXT];

	jt_time_format(f->card.expires_s, now);
	jt_time_format(expires_s, then);
	jt_note("%.24s works until %s, which is later than %s; to end it "
		"earlier, give --shorten",
		f->card.id, now, then);
	(void)a;
	return JT_AMEND_SKIP;
}

static int one(struct jt_amend *a, const struct jt_found *f,
	       struct jt_record *r)
{
	char why[JT_WHY_MAX];
	uint64_t expires_s;

	if (f->newest.type == JT_REC_REVOKE) {
		jt_note("%.24s is revoked for good; make a new one with `jeton "
			"create`",
			f->card.id);
		return JT_AMEND_SKIP;
	}
	if (!jt_draft_expiry(a->cmd->args.expires, &a->rules, a->now_s,
			     &expires_s, why))
		return jt_fail(JT_EXIT_USAGE, "--expires %s", why);
	if (expires_s == f->card.expires_s)
		return JT_AMEND_SAME;
	if (expires_s < f->card.expires_s && !a->cmd->args.shorten)
		return refuse(a, f, expires_s);
	r->token.expires_s = (uint32_t)expires_s;
	return 0;
}

static void put(struct jt_amend *a, const struct jt_record *r,
		struct jt_sheet *s)
{
	char text[JT_TIME_TEXT];

	(void)a;
	jt_time_format(r->token.expires_s, text);
	jt_sheet_text(s, "expires", "Expires", text, NULL);
}

int jt_cmd_renew(const struct jt_cmd *cmd)
{
	static const struct jt_amend_verb verb = {
		.type = JT_REC_RENEW,
		.done = "renewed",
		.choice = JT_CHOICE,
		.check = check,
		.one = one,
		.put = put,
	};

	return jt_amend(cmd, &verb, NULL);
}
