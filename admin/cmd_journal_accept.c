/* jeton journal accept: go on with an older journal that was put back. */
#include "admin/anchor.h"
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/rescue.h"

#include <inttypes.h>
#include <string.h>

/* What the anchor knew beyond the journal's end is lost: say so. */
static void put_loss(const struct jt_journal *j)
{
	struct jt_fault ignored;
	struct jt_anchor a;

	if (jt_anchor_read(&jt_io_os, j->dir_fd, &a) != 0)
		return;
	if (jt_anchor_check(j, &a, &ignored) == 0) {
		jt_note("nothing is lost: the journal holds all that was known "
			"here");
		return;
	}
	if (memcmp(a.journal_id, j->id, sizeof(a.journal_id)) != 0)
		jt_note("the anchor is another journal's: nothing that was "
			"created or revoked there holds here");
	else if (a.number > j->committed.number)
		jt_note("lost: records %" PRIu64 " to %" PRIu64
			"; tokens revoked there are VALID again, revoke them "
			"once more",
			j->committed.number + 1, a.number);
	else
		jt_note("the history up to record %" PRIu64
			" is not the one that was known here",
			a.number);
}

int jt_cmd_journal_accept(const struct jt_cmd *cmd)
{
	struct jt_fault fault = {0};
	struct jt_commit at;
	struct jt_journal j;
	struct jt_sheet s;
	int e;

	if (jt_receipt_parse(cmd->operands[0], &at) != 0)
		return jt_fail(JT_EXIT_USAGE,
			       "accept takes the journal's end as NUMBER:TAG; "
			       "`jeton status` shows it");
	e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);
	if (e == 0) {
		put_loss(&j);
		jt_journal_close(&j);
		e = jt_journal_accept(&jt_io_os, cmd->paths.data, &at, &fault);
	}
	if (e)
		return jt_journal_refusal(e, &fault);
	jt_sheet_begin(&s, cmd->json);
	jt_sheet_text(&s, "accepted", "Accepted", cmd->operands[0], NULL);
	jt_sheet_end(&s);
	return 0;
}
