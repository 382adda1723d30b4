/* jeton journal check: does everything that was committed still hold? */
#include "admin/catalog.h"
#include "admin/cmd.h"
#include "admin/deny.h"

#include <inttypes.h>
#include <string.h>

/* What waits for the journal holds, too? */
static int count_denied(const struct jt_journal *j, struct jt_deny_sum *deniedp,
			struct jt_fault *faultp)
{
	int e = jt_deny_count(j->io, j->dir_fd, j->id, deniedp);

	if (e == 0 && deniedp->hurt == 0 && deniedp->lost == 0)
		return 0;
	return jt_fault_set(faultp, JT_JOURNAL_E_DAMAGED, 0, 0,
			    e ? "the file %s cannot be used (%s); stop jetond, "
				"move it away, start it, and revoke again what "
				"was revoked since the journal could not be "
				"written"
			      : "the file %s is damaged%s: %u of its entries "
				"are hurt, %u cannot be read; start jetond, "
				"which denies what it can, and revoke the "
				"others again",
			    JT_DENY_NAME, e ? jt_deny_why(e) : "",
			    deniedp->hurt, deniedp->lost);
}

/* The chain holds; do the records also make sense together? */
static int fold(const char *data, struct jt_commit *endp, size_t *tokensp,
		struct jt_deny_sum *deniedp, struct jt_fault *faultp)
{
	struct jt_catalog catalog;
	struct jt_journal j;
	int e = jt_journal_open(&j, &jt_io_os, data, faultp);

	if (e)
		return e;
	e = jt_catalog_init(&catalog);
	if (e == 0)
		e = jt_catalog_load(&catalog, &j, faultp);
	else
		jt_fault_set(faultp, e, 0, 0, "not enough memory");
	*endp = j.committed;
	*tokensp = catalog.n_cards;
	if (e == 0)
		e = count_denied(&j, deniedp, faultp);
	jt_catalog_deinit(&catalog);
	jt_journal_close(&j);
	return e;
}

static int put_damage(const struct jt_cmd *cmd, const struct jt_fault *fault)
{
	struct jt_sheet s;

	if (cmd->json) {
		jt_sheet_begin(&s, true);
		jt_sheet_flag(&s, "ok", NULL, false);
		jt_sheet_text(&s, "why", NULL, fault->line, NULL);
		jt_sheet_number(&s, "record", NULL, (int64_t)fault->number,
				NULL);
		jt_sheet_number(&s, "offset", NULL, (int64_t)fault->offset,
				NULL);
		jt_sheet_end(&s);
	}
	return jt_fail(JT_EXIT_FILE, "%s", fault->line);
}

int jt_cmd_journal_check(const struct jt_cmd *cmd)
{
	struct jt_journal_summary summary = {0};
	struct jt_fault fault = {0};
	struct jt_commit expect, end;
	char receipt[JT_RECEIPT_MAX];
	const char *text = cmd->args.expect;
	struct jt_deny_sum denied = {0};
	size_t tokens = 0;
	struct jt_sheet s;

	if (text && jt_receipt_parse(text, &expect) != 0)
		return jt_fail(JT_EXIT_USAGE,
			       "--expect takes a receipt NUMBER:TAG, as create "
			       "and revoke print it");
	if (jt_journal_check(&jt_io_os, cmd->paths.data, text ? &expect : NULL,
			     &summary, &fault) != 0 ||
	    fold(cmd->paths.data, &end, &tokens, &denied, &fault) != 0)
		return put_damage(cmd, &fault);
	jt_receipt_format(&end, receipt);
	jt_sheet_begin(&s, cmd->json);
	jt_sheet_flag(&s, "ok", "Journal ok", true);
	jt_sheet_number(&s, "records", "Records", (int64_t)summary.records,
			NULL);
	jt_sheet_number(&s, "state_records", "Of them state",
			(int64_t)summary.state, NULL);
	jt_sheet_number(&s, "batches", "Batches", (int64_t)summary.batches,
			NULL);
	jt_sheet_number(&s, "tokens", "Tokens", (int64_t)tokens, NULL);
	jt_sheet_number(&s, "reserve", "Reserve", (int64_t)summary.reserve,
			NULL);
	jt_sheet_number(&s, "archives", "Archives", (int64_t)summary.archives,
			NULL);
	jt_sheet_number(&s, "history_from", "History from",
			(int64_t)summary.first, NULL);
	jt_sheet_number(&s, "pending_revokes", "Revokes not in it yet",
			denied.pending, NULL);
	jt_sheet_text(&s, "receipt", "Receipt", receipt, NULL);
	jt_sheet_end(&s);
	if (summary.first > 1)
		jt_note("records before %" PRIu64 " are in an archive that is "
			"not here",
			summary.first);
	return 0;
}
