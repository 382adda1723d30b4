/*
 * cmd: what main.c gives to a verb, and the verbs.
 *
 * A verb returns its exit code (output.h) and has then said why on stderr; it
 * writes its answer through stdio and leaves stdout open: main.c flushes and
 * closes it and turns a lost answer into exit 4.
 */
#ifndef JT_ADMIN_CMD_H
#define JT_ADMIN_CMD_H

#include "admin/args.h"
#include "admin/output.h"
#include "admin/paths.h"

struct jt_cmd {
	struct jt_args args;
	struct jt_paths paths;
	const char *const *operands; /* the words after the verb */
	size_t n_operands;
	bool json;
	bool stdout_closed; /* there was none when we started */
};

struct jt_verb {
	const char *name; /* one word or two */
	int (*run)(const struct jt_cmd *cmd);
	const char *operands; /* as usage shows them */
	size_t operands_min, operands_max;
	uint64_t options; /* JT_BIT()s beyond JT_GLOBAL */
	const char *brief;
	const char *more; /* paragraphs for `help VERB` */
};

/* The table, in main.c; ends with a NULL name. */
extern const struct jt_verb jt_verbs[];

/* Print usage and options of one verb, or of all. */
void jt_verb_usage(FILE *out, const struct jt_verb *verb);
void jt_verbs_usage(FILE *out);

int jt_cmd_init(const struct jt_cmd *cmd);
int jt_cmd_create(const struct jt_cmd *cmd);
int jt_cmd_import(const struct jt_cmd *cmd);
int jt_cmd_list(const struct jt_cmd *cmd);
int jt_cmd_expiring(const struct jt_cmd *cmd);
int jt_cmd_unused(const struct jt_cmd *cmd);
int jt_cmd_show(const struct jt_cmd *cmd);
int jt_cmd_renew(const struct jt_cmd *cmd);
int jt_cmd_rename(const struct jt_cmd *cmd);
int jt_cmd_set(const struct jt_cmd *cmd);
int jt_cmd_suspend(const struct jt_cmd *cmd);
int jt_cmd_resume(const struct jt_cmd *cmd);
int jt_cmd_rotate(const struct jt_cmd *cmd);
int jt_cmd_revoke(const struct jt_cmd *cmd);
int jt_cmd_purge(const struct jt_cmd *cmd);
int jt_cmd_plan_set(const struct jt_cmd *cmd);
int jt_cmd_plan_list(const struct jt_cmd *cmd);
int jt_cmd_plan_rm(const struct jt_cmd *cmd);
int jt_cmd_notify_run(const struct jt_cmd *cmd);
int jt_cmd_why(const struct jt_cmd *cmd);
int jt_cmd_copy(const struct jt_cmd *cmd);
int jt_cmd_vault_init(const struct jt_cmd *cmd);
int jt_cmd_verify(const struct jt_cmd *cmd);
int jt_cmd_history(const struct jt_cmd *cmd);
int jt_cmd_audit(const struct jt_cmd *cmd);
int jt_cmd_top(const struct jt_cmd *cmd);
int jt_cmd_status(const struct jt_cmd *cmd);
int jt_cmd_upgrade(const struct jt_cmd *cmd);
int jt_cmd_journal_check(const struct jt_cmd *cmd);
int jt_cmd_journal_dump(const struct jt_cmd *cmd);
int jt_cmd_journal_rescue(const struct jt_cmd *cmd);
int jt_cmd_journal_accept(const struct jt_cmd *cmd);
int jt_cmd_completion(const struct jt_cmd *cmd);
int jt_cmd_scan_rules(const struct jt_cmd *cmd);
int jt_cmd_journal_compact(const struct jt_cmd *cmd);
int jt_cmd_journal_backup(const struct jt_cmd *cmd);
int jt_cmd_journal_tail(const struct jt_cmd *cmd);
int jt_cmd_help(const struct jt_cmd *cmd);

#endif
