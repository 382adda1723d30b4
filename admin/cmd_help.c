/* jeton help: usage made from the table of verbs. */
#include "admin/manual.h"

#include <string.h>

static bool begins(const char *name, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t bytes = strlen(words[i]);

		if (strncmp(name, words[i], bytes) != 0 ||
		    (name[bytes] != '\0' && name[bytes] != ' '))
			return false;
		name += bytes + (name[bytes] == ' ');
	}
	return true;
}

int jt_cmd_help(const struct jt_cmd *cmd)
{
	size_t n = 0;

	if (cmd->args.man) {
		jt_manual(stdout);
		return 0;
	}
	if (cmd->n_operands == 0) {
		jt_verbs_usage(stdout);
		return 0;
	}
	for (const struct jt_verb *v = jt_verbs; v->name; v++) {
		if (!begins(v->name, cmd->operands, cmd->n_operands))
			continue;
		if (n++)
			putchar('\n');
		jt_verb_usage(stdout, v);
	}
	if (n == 0)
		return jt_fail(JT_EXIT_USAGE,
			       "there is no such verb; see `jeton help`");
	return 0;
}
