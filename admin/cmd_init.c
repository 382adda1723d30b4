/* jeton init: an empty journal, explicitly. */
#include "admin/cmd.h"
#include "admin/issue.h"
#include "shm/token.h"

#include <string.h>

int jt_cmd_init(const struct jt_cmd *cmd)
{
	const char *prefix = cmd->args.prefix;
	struct jt_fault fault = {0};
	struct jt_sheet s;
	int e = 0;

	if (!prefix)
		prefix = JT_PREFIX_DEFAULT;
	if (!jt_prefix_ok(prefix))
		return jt_fail(JT_EXIT_USAGE,
			       "--prefix is not 2 to 4 lower-case letters");
	if (!cmd->paths.data_given)
		e = jt_paths_make(cmd->paths.data);
	if (e)
		return jt_fail(JT_EXIT_FILE, "%s: %s; give --data DIR",
			       cmd->paths.data, strerror(-e));
	e = jt_journal_create(&jt_io_os, cmd->paths.data, prefix, &fault);
	if (e)
		return jt_journal_refusal(e, &fault);
	jt_sheet_begin(&s, cmd->json);
	jt_sheet_text(&s, "data", "Journal in", cmd->paths.data, NULL);
	jt_sheet_text(&s, "prefix", "Prefix", prefix, NULL);
	jt_sheet_end(&s);
	return 0;
}
