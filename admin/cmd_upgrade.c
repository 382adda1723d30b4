/*
 * jeton upgrade: the running keeper is asked to start the next one in its
 * stead, and answers when that serves (sidecar/handover.h).
 */
#include "admin/cmd.h"
#include "admin/control.h"

/* A replay of everything that was ever committed is part of it. */
#define WAIT_MS 1900000u

int jt_cmd_upgrade(const struct jt_cmd *cmd)
{
	struct jt_control c;
	const char *version;
	struct jt_sheet s;
	uint64_t pid;
	int e = jt_control_connect(&c, cmd->paths.data, WAIT_MS);

	if (e)
		return jt_fail(JT_EXIT_SIDECAR, "%s", c.line);
	e = jt_control_upgrade(&c, &pid, &version);
	jt_control_close(&c);
	if (e == JT_CONTROL_E_REFUSED)
		return jt_fail(JT_EXIT_NO, "%s", c.line);
	if (e)
		return jt_fail(JT_EXIT_SIDECAR, "%s", c.line);
	jt_sheet_begin(&s, cmd->json);
	jt_sheet_text(&s, "version", "Version", version, NULL);
	jt_sheet_number(&s, "pid", "Process", (int64_t)pid, NULL);
	jt_sheet_end(&s);
	jt_note("it serves; the one before leaves when its last connection "
		"has");
	return 0;
}
