/* jeton journal rescue: write again after a flush failed. */
#include "admin/cmd.h"
#include "admin/rescue.h"

int jt_cmd_journal_rescue(const struct jt_cmd *cmd)
{
	char receipt[JT_RECEIPT_MAX];
	struct jt_fault fault = {0};
	struct jt_journal j;
	struct jt_sheet s;

	if (jt_journal_rescue(&jt_io_os, cmd->paths.data, &fault) != 0 ||
	    jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault) != 0)
		return jt_fail(JT_EXIT_FILE, "%s", fault.line);
	jt_receipt_format(&j.committed, receipt);
	jt_journal_close(&j);
	jt_sheet_begin(&s, cmd->json);
	jt_sheet_flag(&s, "rescued", "Rescued", true);
	jt_sheet_text(&s, "receipt", "Receipt", receipt, NULL);
	jt_sheet_end(&s);
	jt_note("compare the receipt with the last one that you have; the old "
		"file is kept beside the new one");
	return 0;
}
