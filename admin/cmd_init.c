/* jeton init: an empty journal, explicitly. */
#include "admin/cmd.h"
#include "admin/expiry.h"
#include "admin/issue.h"
#include "shm/token.h"

#include <string.h>

/* The first record of the journal: no verb can write another one. */
static int write_rules(const struct jt_cmd *cmd)
{
	const char *span = cmd->args.max_lifetime;
	struct jt_record r = {.type = JT_REC_RULES};
	struct jt_change c;
	int e = jt_change_begin(&c, &cmd->paths);

	if (e)
		return e;
	memcpy(r.rules.max_lifetime, span, strlen(span));
	if (c.journal.committed.number)
		e = jt_fail(JT_EXIT_FILE, "somebody else was quicker and uses "
					  "this journal already");
	if (e == 0)
		e = jt_change_commit(&c, &r, 1);
	if (e == 0 && jt_change_settle(&c) == JT_FORCE_NOT)
		e = JT_EXIT_SIDECAR;
	jt_change_end(&c);
	return e;
}

static int check_rules(const char *span)
{
	uint64_t now_s = jt_io_os.wall_ns() / 1000000000u, span_s;
	struct jt_record_rules rules;
	int e = jt_span_parse(span, now_s, &span_s);

	if (e == 0 && span_s && strlen(span) < sizeof(rules.max_lifetime))
		return 0;
	return jt_fail(JT_EXIT_USAGE, "--max-lifetime %s",
		       jt_span_why(e ? e : JT_EXPIRY_E_SYNTAX));
}

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
	if (cmd->args.max_lifetime)
		e = check_rules(cmd->args.max_lifetime);
	if (e)
		return e;
	if (!cmd->paths.data_given)
		e = jt_paths_make(cmd->paths.data);
	if (e)
		return jt_fail(JT_EXIT_FILE, "%s: %s; give --data DIR",
			       cmd->paths.data, strerror(-e));
	e = jt_journal_create(&jt_io_os, cmd->paths.data, prefix, &fault);
	if (e)
		return jt_journal_refusal(e, &fault);
	if (cmd->args.max_lifetime)
		e = write_rules(cmd);
	if (e)
		return e;
	jt_sheet_begin(&s, cmd->json);
	jt_sheet_text(&s, "data", "Journal in", cmd->paths.data, NULL);
	jt_sheet_text(&s, "prefix", "Prefix", prefix, NULL);
	if (cmd->args.max_lifetime)
		jt_sheet_text(&s, "max_lifetime", "Longest lifetime",
			      cmd->args.max_lifetime, NULL);
	jt_sheet_end(&s);
	return 0;
}
