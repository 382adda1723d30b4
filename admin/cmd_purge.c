/*
 * jeton purge: dead tokens are forgotten; their places are free for others.
 *
 * Only what was revoked or expired so long ago. A purged value is UNKNOWN from
 * then on instead of REVOKED or EXPIRED; history keeps what it was.
 */
#include "admin/amend.h"

static int check(struct jt_amend *a)
{
	if (a->cmd->args.dead_for)
		return 0;
	return jt_fail(JT_EXIT_USAGE, "dead for how long? Give --dead-for, "
				      "like 30d");
}

static int one(struct jt_amend *a, const struct jt_found *f,
	       struct jt_record *r)
{
	(void)a;
	(void)f;
	(void)r;
	return 0;
}

int jt_cmd_purge(const struct jt_cmd *cmd)
{
	static const struct jt_amend_verb verb = {
		.type = JT_REC_PURGE,
		.done = "purged",
		.choice = JT_CHOICE | JT_BIT(dead_for),
		.check = check,
		.one = one,
	};

	return jt_amend(cmd, &verb, NULL);
}
