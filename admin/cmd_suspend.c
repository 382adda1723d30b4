/* jeton suspend, jeton resume: out of force for a time, and back. */
#include "admin/amend.h"

static int suspend_or_resume(struct jt_amend *a, const struct jt_found *f,
			     struct jt_record *r)
{
	bool want = a->verb->type == JT_REC_SUSPEND;

	if (f->newest.type == JT_REC_REVOKE) {
		jt_note("%.24s is revoked for good; make a new one with `jeton "
			"create`",
			f->card.id);
		return JT_AMEND_SKIP;
	}
	if (want == !!(r->token.flags & JT_TOKEN_SUSPENDED))
		return JT_AMEND_SAME;
	r->token.flags ^= JT_TOKEN_SUSPENDED;
	return 0;
}

int jt_cmd_suspend(const struct jt_cmd *cmd)
{
	static const struct jt_amend_verb verb = {
		.type = JT_REC_SUSPEND,
		.done = "suspended",
		.choice = JT_CHOICE,
		.one = suspend_or_resume,
	};

	return jt_amend(cmd, &verb, NULL);
}

int jt_cmd_resume(const struct jt_cmd *cmd)
{
	static const struct jt_amend_verb verb = {
		.type = JT_REC_RESUME,
		.done = "resumed",
		.choice = JT_CHOICE,
		.one = suspend_or_resume,
	};

	return jt_amend(cmd, &verb, NULL);
}
