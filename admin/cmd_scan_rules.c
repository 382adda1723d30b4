/*
 * jeton scan-rules: what finds our tokens in code and logs.
 *
 * A value has a fixed shape, so that secret scanners need not guess: prefix,
 * environment, id, 40 characters, 64 in all. The id alone is no secret and does
 * not match.
 */
#include "admin/change.h"
#include "admin/cmd.h"

#include <string.h>

/* Environment 1-6 characters, id up to 24 in all, then 34 + 6. */
static void put_pattern(const char *prefix)
{
	printf("%s_(?:", prefix);
	for (size_t env = 1; env <= 6; env++) {
		size_t id = 24 - strlen(prefix) - 1 - env - 1;

		printf("%s[a-z0-9]{%zu}_[0-9A-Za-z]{%zu}", env > 1 ? "|" : "",
		       env, id + 40);
	}
	putchar(')');
}

static void gitleaks(const char *prefix)
{
	printf("[[rules]]\n"
	       "id = \"jeton-%s\"\n"
	       "description = \"jeton API token (%s_...); end it with `jeton "
	       "revoke --leaked FILE`\"\n"
	       "regex = '''\\b",
	       prefix, prefix);
	put_pattern(prefix);
	printf("\\b'''\n"
	       "keywords = [\"%s_\"]\n",
	       prefix);
}

static void trufflehog(const char *prefix)
{
	printf("detectors:\n"
	       "  - name: jeton-%s\n"
	       "    keywords:\n"
	       "      - %s_\n"
	       "    regex:\n"
	       "      token: '\\b(",
	       prefix, prefix);
	put_pattern(prefix);
	puts(")\\b'");
}

int jt_cmd_scan_rules(const struct jt_cmd *cmd)
{
	struct jt_fault fault = {0};
	struct jt_journal j;
	char prefix[9] = "";
	int e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	memcpy(prefix, j.prefix, sizeof(j.prefix));
	jt_journal_close(&j);
	if (strcmp(cmd->operands[0], "gitleaks") == 0)
		gitleaks(prefix);
	else if (strcmp(cmd->operands[0], "trufflehog") == 0)
		trufflehog(prefix);
	else
		return jt_fail(JT_EXIT_USAGE,
			       "rules for which scanner? gitleaks or "
			       "trufflehog");
	return 0;
}
