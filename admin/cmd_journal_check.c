/* jeton journal check: does everything that was committed still hold? */
#include "admin/catalog.h"
#include "admin/cmd.h"

#include <inttypes.h>
#include <string.h>

/* The chain holds; do the records also make sense together? */
static int fold(const char *data, struct jt_commit *endp, size_t *tokensp,
		struct jt_fault *faultp)
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
	size_t tokens = 0;
	struct jt_sheet s;

	if (text && jt_receipt_parse(text, &expect) != 0)
		return jt_fail(JT_EXIT_USAGE,
			       "--expect takes a receipt NUMBER:TAG, as create "
			       "and revoke print it");
	if (jt_journal_check(&jt_io_os, cmd->paths.data, text ? &expect : NULL,
			     &summary, &fault) != 0 ||
	    fold(cmd->paths.data, &end, &tokens, &fault) != 0)
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
	jt_sheet_text(&s, "receipt", "Receipt", receipt, NULL);
	jt_sheet_end(&s);
	if (summary.first > 1)
		jt_note("records before %" PRIu64 " are in an archive that is "
			"not here",
			summary.first);
	return 0;
}
