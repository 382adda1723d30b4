/*
 * jeton journal compact: leave behind what no longer says anything.
 *
 * A running sidecar follows by itself; nobody is asked and nobody waits, but
 * for writers while the last records are copied.
 */
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/compact.h"

int jt_cmd_journal_compact(const struct jt_cmd *cmd)
{
	struct jt_fault fault = {0};
	char receipt[JT_RECEIPT_MAX];
	struct jt_compacted done;
	struct jt_sheet s;
	int e = jt_journal_compact(&jt_io_os, cmd->paths.data, &done, &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	jt_receipt_format(&done.end, receipt);
	jt_sheet_begin(&s, cmd->json);
	jt_sheet_number(&s, "records_before", "Records before",
			(int64_t)done.records_before, NULL);
	jt_sheet_number(&s, "records_after", "Records after",
			(int64_t)done.records_after, NULL);
	jt_sheet_number(&s, "bytes_before", "Bytes before",
			(int64_t)done.bytes_before, NULL);
	jt_sheet_number(&s, "bytes_after", "Bytes after",
			(int64_t)done.bytes_after, NULL);
	jt_sheet_text(&s, "archive", "Archive", done.archive, NULL);
	jt_sheet_number(&s, "locked_us", "Locked, us",
			(int64_t)(done.locked_ns / 1000), NULL);
	jt_sheet_text(&s, "receipt", "Receipt", receipt, NULL);
	jt_sheet_end(&s);
	if (done.records_after >= done.records_before)
		jt_note("there was nothing to leave behind; done all the same");
	jt_note("receipts stay valid; keep %s with its journal, history is "
		"read from it",
		done.archive);
	return 0;
}
