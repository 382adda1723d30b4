/* jeton-bench: the table of verbs. */
#include "bench/options.h"

#include <stdio.h>
#include <string.h>

static const struct verb {
	const char *name;
	const char *what;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{"run", "compare jetond with Redis and with the bare socket",
	 jt_verb_run},
	{"load", "put one server under load and count its verdicts",
	 jt_verb_load},
	{"inprocess", "compare libjeton with the socket, one request at a time",
	 jt_verb_inprocess},
	{"table", "libjeton against the number of tokens, and one hot token",
	 jt_verb_table},
	{"restart", "from a start to the first verdict, beside Redis",
	 jt_verb_restart},
	{"revoke", "how long until a revoked token is refused", jt_verb_revoke},
	{"mutate", "latency while tokens are created in bulk", jt_verb_mutate},
	{"page", "join what was found: goals, and one HTML page", jt_verb_page},
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void print_usage(FILE *to)
{
	fprintf(to, "usage: jeton-bench VERB [FLAGS]\n\n");
	for (unsigned i = 0; i < VERBS; i++)
		fprintf(to, "  %-9s %s\n", verbs[i].name, verbs[i].what);
	fprintf(to, "\nFlags of a verb: jeton-bench VERB --help\n");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	for (unsigned i = 0; i < VERBS; i++)
		if (strcmp(name, verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
		print_usage(stdout);
		return JT_EXIT_OK;
	}
	if (strcmp(name, "--version") == 0) {
		puts("jeton-bench " JT_VERSION);
		return JT_EXIT_OK;
	}
	print_usage(stderr);
	return JT_EXIT_USAGE;
}
