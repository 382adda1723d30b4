/*
 * jeton revoke: a token stops working, for good.
 *
 * Exit 0 says: durable, and in force at every worker. The id is looked up
 * under the lock, so that nothing can change between look and record. Revoking
 * again is no error, but is as careful: the first time may have ended before
 * it was in force.
 */
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/lookup.h"

static void put(const struct jt_cmd *cmd, const struct jt_change *c,
		enum jt_force force, bool already)
{
	char receipt[JT_RECEIPT_MAX];
	struct jt_sheet s;

	jt_receipt_format(&c->done, receipt);
	jt_sheet_begin(&s, cmd->json);
	jt_sheet_text(&s, "id", "Id", cmd->operands[0], NULL);
	jt_sheet_text(&s, "status", "Status", "Revoked",
		      already ? "Revoked (already revoked before)" : NULL);
	jt_sheet_text(&s, "receipt", "Receipt", receipt, NULL);
	jt_sheet_flag(&s, "in_force", "In force", force == JT_FORCE_NOW);
	jt_sheet_end(&s);
	if (already)
		jt_note("already revoked");
}

static int settle(const struct jt_cmd *cmd, struct jt_change *c, bool already)
{
	enum jt_force force = jt_change_settle(c);

	put(cmd, c, force, already);
	if (force == JT_FORCE_NOW)
		return 0;
	if (force == JT_FORCE_NOT)
		return JT_EXIT_SIDECAR;
	if (cmd->args.offline) {
		jt_note("recorded; takes effect when the sidecar starts");
		return 0;
	}
	return jt_fail(JT_EXIT_SIDECAR,
		       "recorded, but no sidecar runs on %s: takes effect when "
		       "it starts; if that is as it should be, use --offline",
		       cmd->paths.data);
}

static int revoke(const struct jt_cmd *cmd, struct jt_change *c)
{
	struct jt_fault fault = {0};
	struct jt_found f;
	bool already;
	int e = jt_lookup(&c->journal, &c->control, cmd->operands[0], &f,
			  &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	if (!f.exists)
		return jt_no_such_id(cmd->operands[0]);
	already = f.newest.type == JT_REC_REVOKE;
	if (already)
		jt_change_keep(c);
	else
		e = jt_change_revoke(c, &f.newest);
	return e ? e : settle(cmd, c, already);
}

int jt_cmd_revoke(const struct jt_cmd *cmd)
{
	struct jt_change c;
	int e = jt_id_check(cmd->operands[0]);

	if (e == 0)
		e = jt_change_begin(&c, &cmd->paths);
	if (e)
		return e;
	e = revoke(cmd, &c);
	jt_change_end(&c);
	return e;
}
