/*
 * jeton revoke: tokens stop working, for good.
 *
 * Exit 0 says: durable, and in force at every worker. The token is looked up
 * under the lock, so that nothing can change between look and record. Revoking
 * again is no error, but is as careful: the first time may have ended before
 * it was in force.
 */
#include "admin/amend.h"
#include "admin/expiry.h"
#include "admin/leak.h"

#define RECENT_S (7 * 86400u)

static int one(struct jt_amend *a, const struct jt_found *f,
	       struct jt_record *r)
{
	char ago[JT_TIME_TEXT];

	(void)r;
	if (f->newest.type == JT_REC_REVOKE)
		return JT_AMEND_SAME;
	if (f->metered && f->look.last_use_s &&
	    f->look.last_use_s + RECENT_S > a->now_s) {
		jt_time_distance(f->look.last_use_s, a->now_s, ago);
		jt_note("%.24s is in use (last use: %s); whoever still uses it "
			"is refused from now on",
			f->card.id, ago);
	}
	return 0;
}

int jt_cmd_revoke(const struct jt_cmd *cmd)
{
	static const struct jt_amend_verb verb = {
		.type = JT_REC_REVOKE,
		.done = "revoked",
		.choice = JT_CHOICE,
		.urgent = true,
		.one = one,
	};

	return cmd->args.leaked ? jt_leak_revoke(cmd, &verb)
				: jt_amend(cmd, &verb, NULL);
}
