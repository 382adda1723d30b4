/* jeton journal backup: a verified copy, also while others write. */
#include "admin/backup.h"
#include "admin/change.h"
#include "admin/cmd.h"

int jt_cmd_journal_backup(const struct jt_cmd *cmd)
{
	struct jt_fault fault = {0};
	char receipt[JT_RECEIPT_MAX];
	struct jt_commit end;
	struct jt_sheet s;
	uint64_t bytes;
	int e = jt_journal_backup(&jt_io_os, cmd->paths.data, cmd->operands[0],
				  &end, &bytes, &fault);

	if (e < 0)
		return jt_fail(JT_EXIT_FILE, "%s", fault.line);
	if (e)
		return jt_journal_refusal(e, &fault);
	jt_receipt_format(&end, receipt);
	jt_sheet_begin(&s, cmd->json);
	jt_sheet_text(&s, "file", "File", cmd->operands[0], NULL);
	jt_sheet_number(&s, "bytes", "Bytes", (int64_t)bytes, NULL);
	jt_sheet_text(&s, "receipt", "Receipt", receipt, NULL);
	jt_sheet_end(&s);
	return 0;
}
