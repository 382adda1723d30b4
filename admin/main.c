/*
 * jeton: the admin tool. Reads the command line, finds the verb, runs it.
 *
 * Everything about a verb but its work stands in the table below: usage, help
 * and what is refused before the verb runs are made from it.
 */
#include "admin/choose.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define B(option) JT_BIT(option)
#define IDS 1000
#define CHOICE (JT_CHOICE | JT_BIT(yes))

const struct jt_verb jt_verbs[] = {
	{"init", jt_cmd_init, "", 0, 0, B(prefix) | B(max_lifetime) | B(json),
	 "make an empty journal",
	 "jeton init --prefix acme --max-lifetime 1y\n"
	 "\n"
	 "Not needed: the first create makes one with the prefix jt. With\n"
	 "--max-lifetime no token of this journal may ever live longer.\n"},
	{"create", jt_cmd_create, "NAME", 0, 1,
	 B(expires) | B(env) | B(owner) | B(rate) | B(burst) | B(quota) |
		 B(plan) | B(scope) | B(recoverable) | B(from) | B(out) |
		 B(json),
	 "make a token, or with --from one for each row of a table",
	 "The value, 64 characters, is printed alone on stdout, once; all "
	 "else\n"
	 "goes to stderr. With --out it goes to a new file (0600) instead.\n"
	 "\n"
	 "Without --expires it works for 90 days (or the maximum lifetime of "
	 "the\n"
	 "journal), without --env in live, without --rate, --quota or --plan\n"
	 "it has no limit.\n"
	 "\n"
	 "WHEN is 30d, 90d, 6m, 1y, never (4 years), any number of s, min, h,\n"
	 "d, w, m (months) or y, a date (to the end of that day, UTC) or an\n"
	 "RFC 3339 time; at most 4 years ahead.\n"
	 "\n"
	 "A quota counts in a day, a week (from Monday) or a month of the UTC\n"
	 "calendar, or in any span of whole minutes, hours, days or weeks.\n"
	 "\n"
	 "jeton create \"Production API\" --expires 90d --owner web\n"
	 "jeton create CI --env test --scope orders:read --rate 10/s\n"
	 "jeton create --from tokens.csv --out values.csv\n"
	 "\n"
	 "FILE.csv begins with column names: name, and any of expires, env,\n"
	 "owner, rate, burst, quota, plan, scopes. Empty cells take the "
	 "option\n"
	 "of that name. All rows are one commit; values go to --out as\n"
	 "id,name,token. A crash may leave FILE.jeton-XXXXXX: its tokens are\n"
	 "valid if `jeton list` shows them; else it can be deleted.\n"},
	{"import", jt_cmd_import, "FILE.csv", 1, 1,
	 B(scheme) | B(dry_run) | B(skip_bad) | B(expires) | B(env) | B(owner) |
		 B(rate) | B(burst) | B(quota) | B(plan) | B(scope) | B(out) |
		 B(json),
	 "take over other systems' tokens by their digests",
	 "jeton import --scheme sha256-hex --dry-run tokens.csv\n"
	 "jeton import --scheme sha256-base64 --out results.tsv tokens.csv\n"
	 "\n"
	 "FILE.csv (- for stdin) begins with column names: name and digest, "
	 "and\n"
	 "any of expires, env, owner, rate, burst, quota, plan, scopes. Empty\n"
	 "cells take the option of that name. The digest is the SHA-256 of "
	 "the\n"
	 "whole value in hex or base64 (standard or URL-safe, with or without "
	 "=);\n"
	 "with sha256-prefixed, for values like prefix_short_long, in hex that "
	 "of\n"
	 "what stands behind the last _, and only that is compared. Values "
	 "never\n"
	 "get here. They then verify as they are; list and show give an id "
	 "made\n"
	 "of the digest; a rotation gives the token a value of our form. A "
	 "value\n"
	 "that looks like one of ours, our prefix too, cannot be taken over: "
	 "it\n"
	 "is never found. Nor is one of more than 4096 bytes, which is the "
	 "most\n"
	 "that the sidecar takes.\n"
	 "\n"
	 "All rows are one commit. A digest that is there already, revoked or\n"
	 "not, is left as it is: so an import may be repeated, and nothing "
	 "that\n"
	 "was revoked comes back before it is purged. A result for each row:\n"
	 "line, imported, exists, duplicate or bad, id, why; ready is what "
	 "would\n"
	 "be imported. With a bad row nothing is, exit 2, but with "
	 "--skip-bad.\n"},
	{"list", jt_cmd_list, "", 0, 0,
	 JT_CHOICE | B(sort) | B(long_) | B(json),
	 "tokens: name, masked value, expiry date, status",
	 "jeton list --owner web --env live --sort expires\n"
	 "jeton list --name 'CI *' --status active --long\n"
	 "\n"
	 "In order of creation. The date is the last day on which the token\n"
	 "works. --sort used begins with the latest use, uses with the most.\n"
	 "Columns have a heading on a terminal and are separated by tabs,\n"
	 "without heading, when piped; --json has everything.\n"},
	{"expiring", jt_cmd_expiring, "", 0, 0,
	 JT_CHOICE | B(within) | B(long_) | B(json),
	 "tokens that expire soon, the first to do so first",
	 "jeton expiring --within 30d || mail -s 'renew these' ops\n"
	 "\n"
	 "Exit 1 when there are some, 0 when there are none. Suspended ones\n"
	 "are shown, too; revoked and expired ones are not.\n"},
	{"unused", jt_cmd_unused, "", 0, 0,
	 (JT_CHOICE & ~B(status)) | B(days) | B(json),
	 "active tokens that nobody uses",
	 "jeton unused --days 90\n"
	 "\n"
	 "Exit 1 when there are some. A token that was never used counts from\n"
	 "its creation. Uses are known to a running sidecar, and saved.\n"},
	{"show", jt_cmd_show, "ID", 1, 1, B(json), "everything about one token",
	 "jeton show ID\n"
	 "\n"
	 "ID is the first 24 characters of the value, as list shows them. "
	 "Uses\n"
	 "and refusals are known while a sidecar runs.\n"},
	{"renew", jt_cmd_renew, "[ID...]", 0, IDS,
	 CHOICE | B(expires) | B(shorten) | B(reason) | B(json),
	 "another expiry in place; the value stays",
	 "jeton renew ID --expires 90d\n"
	 "jeton renew --owner web --expiring-within 30d --expires 1y --yes\n"
	 "\n"
	 "A span counts from now. An expiry earlier than the present one "
	 "needs\n"
	 "--shorten; of chosen tokens such are passed over. An expired token\n"
	 "that is renewed works again.\n"},
	{"rename", jt_cmd_rename, "ID NAME", 2, 2, B(reason) | B(json),
	 "another name", "jeton rename ID \"CI runner\"\n"},
	{"set", jt_cmd_set, "ID...", 1, IDS,
	 B(owner) | B(rate) | B(burst) | B(quota) | B(plan) | B(scope) |
		 B(reason) | B(yes) | B(json),
	 "another owner, other limits or scopes",
	 "jeton set ID --rate 100/s --burst 200 --quota 5000000/month\n"
	 "jeton set ID --plan gold --rate none\n"
	 "jeton set ID --scope orders:read --scope 'billing:*'\n"
	 "\n"
	 "What is not given stays as it is; `none` takes it away. A rate or\n"
	 "quota of its own stands before the plan's. --scope replaces all\n"
	 "scopes. In force with the next request: a debt of the rate is at "
	 "most\n"
	 "the new burst, what was counted of a quota stays counted.\n"},
	{"suspend", jt_cmd_suspend, "[ID...]", 0, IDS,
	 CHOICE | B(reason) | B(json), "refuse a token until it is resumed",
	 "jeton suspend ID --reason 'invoice overdue'\n"},
	{"resume", jt_cmd_resume, "[ID...]", 0, IDS,
	 CHOICE | B(reason) | B(json), "end a suspension", "jeton resume ID\n"},
	{"rotate", jt_cmd_rotate, "ID", 0, 1,
	 B(overlap) | B(force) | B(finish) | B(status) | B(out) | B(reason) |
		 B(json),
	 "another value for the same token",
	 "jeton rotate ID --overlap 24h    prints the new value, once\n"
	 "jeton rotate --status ID         is the old value still used?\n"
	 "jeton rotate ID --finish         ends the overlap now\n"
	 "\n"
	 "Id, limits, counts and history stay. Both values work until the\n"
	 "overlap ends (default 24h; 0: at once). A second rotation during an\n"
	 "overlap would end a value that may still be used: it needs "
	 "--force.\n"},
	{"revoke", jt_cmd_revoke, "[ID...]", 0, IDS,
	 CHOICE | B(leaked) | B(reason) | B(offline) | B(json),
	 "end tokens at once and for good",
	 "jeton revoke ID --reason 'laptop lost'\n"
	 "jeton revoke --owner web --env test --yes\n"
	 "jeton revoke --leaked build.log\n"
	 "\n"
	 "Exit 0: recorded and in force everywhere. When no sidecar runs it "
	 "is\n"
	 "recorded too, but the exit code is 3 unless --offline says that "
	 "this\n"
	 "is as it should be. --leaked finds values in any text and revokes\n"
	 "those that are whole; ids of ours with another secret are told.\n"
	 "\n"
	 "When the journal cannot be written (disk full, locked, failing) the\n"
	 "sidecar denies all the same, keeps it in the file `deny` and "
	 "records\n"
	 "it later: exit 0, for it outlives a crash. Exit 5: in force, but in\n"
	 "the sidecar's memory only.\n"},
	{"purge", jt_cmd_purge, "", 0, 0,
	 CHOICE | B(dead_for) | B(reason) | B(json),
	 "forget tokens that were dead for long",
	 "jeton purge --dead-for 30d --yes\n"
	 "\n"
	 "Revoked or expired so long ago. Their values are UNKNOWN from then\n"
	 "on; audit and history keep what they were.\n"},
	{"plan set", jt_cmd_plan_set, "NAME", 1, 1,
	 B(rate) | B(burst) | B(quota) | B(reason) | B(json),
	 "limits under a name, made or changed",
	 "jeton plan set gold --rate 1000/s --burst 2000 --quota "
	 "5000000/month\n"
	 "\n"
	 "A change takes effect for every token of the plan with its next\n"
	 "request.\n"},
	{"plan list", jt_cmd_plan_list, "", 0, 0, B(json),
	 "plans, and how many tokens have them", "jeton plan list --json\n"},
	{"plan rm", jt_cmd_plan_rm, "NAME", 1, 1, B(reason) | B(json),
	 "remove a plan that no token has",
	 "jeton plan rm gold\n"
	 "\n"
	 "`jeton list --plan gold` shows who still has it.\n"},
	{"notify run", jt_cmd_notify_run, "", 0, 0,
	 B(exec) | B(timeout) | B(thresholds) | B(dry_run) | B(json),
	 "say once which tokens expire; for a timer",
	 "jeton notify run --exec 'mail -s \"a token expires\" ops'\n"
	 "jeton notify run --exec ./open-a-ticket --timeout 120s\n"
	 "jeton notify run --thresholds 30,7 --dry-run\n"
	 "\n"
	 "An event, a line of JSON, when a token comes within 60, 30, 14, 7 "
	 "and "
	 "1\n"
	 "days of its expiry, and one when it is over (if at most 30 days "
	 "ago):\n"
	 "event, key, id, name, owner, env, expires, days, status. What was "
	 "said\n"
	 "is recorded in the journal and not said again. After missed runs "
	 "only\n"
	 "the most urgent is said, and stands for the others; another expiry\n"
	 "starts anew. Suspended tokens are told, revoked ones not.\n"
	 "\n"
	 "Events go to stdout, and are recorded once all were written. With\n"
	 "--exec each goes to CMD (/bin/sh -c, the event on stdin, its output "
	 "to\n"
	 "our stderr), is recorded when that ends with 0 within 30 s (or\n"
	 "--timeout), and then is printed; else CMD is ended with all that it\n"
	 "started, and the event comes again with the next run, exit 1. If the "
	 "machine\n"
	 "fails between saying and recording, what was just said comes again:\n"
	 "drop what has a known key.\n"},
	{"copy", jt_cmd_copy, "ID", 1, 1, B(passphrase_file) | B(json),
	 "print a value again that create --recoverable stored",
	 "jeton copy ID | xclip\n"
	 "\n"
	 "Asks for the vault's passphrase on the terminal. The value is "
	 "printed\n"
	 "alone on stdout, as create does; that it was read is recorded in "
	 "the\n"
	 "journal first.\n"},
	{"vault init", jt_cmd_vault_init, "", 0, 0,
	 B(passphrase_file) | B(json),
	 "make the vault that create --recoverable stores values in",
	 "jeton vault init\n"
	 "\n"
	 "Asks for a new passphrase, twice. Only it opens the vault: nobody "
	 "can\n"
	 "set it again when it is lost. create needs no passphrase, copy "
	 "does.\n"
	 "Keep a backup of the file `vault` with that of the journal.\n"},
	{"verify", jt_cmd_verify, "", 0, 0,
	 B(env) | B(scope) | B(cost) | B(file) | B(json),
	 "ask the sidecar about a token read from stdin",
	 "printf %s \"$TOKEN\" | jeton verify --env live --scope "
	 "orders:read\n"
	 "\n"
	 "One newline at the end is taken off, nothing else. Exit 0: VALID,\n"
	 "1: refused, 3: no sidecar. The value is never an argument.\n"},
	{"why", jt_cmd_why, "ID", 1, 1, B(env) | B(scope) | B(cost) | B(json),
	 "how the sidecar decides about a token, and what to do",
	 "jeton why ID --env live --scope orders:read\n"
	 "\n"
	 "Every step of the decision, also behind the first that refuses. "
	 "Spends\n"
	 "nothing and needs no value. Exit 0: VALID, 1: refused, 3: no "
	 "sidecar,\n"
	 "then with what the journal tells alone.\n"},
	{"top", jt_cmd_top, "", 0, 0, B(json),
	 "what is used and refused most, live; q quits",
	 "jeton top\n"
	 "jeton top --json | jq .most_refused\n"
	 "\n"
	 "Each second anew on a terminal; piped or with --json once, about "
	 "one\n"
	 "second.\n"},
	{"history", jt_cmd_history, "ID", 1, 1, B(json),
	 "everything that was done with one token",
	 "jeton history ID\n"
	 "\n"
	 "When, what, by whom, what became of what, why, and the operation's\n"
	 "id. Reads archives of the journal, too, as long as they are "
	 "there.\n"},
	{"audit", jt_cmd_audit, "", 0, 0,
	 B(since) | B(until) | B(owner) | B(id) | B(json),
	 "who did what, when and why",
	 "jeton audit --since 24h\n"
	 "jeton audit --since 2026-03-01 --until 2026-03-31 --json\n"
	 "\n"
	 "A line for each operation, however many tokens it concerned; "
	 "without\n"
	 "--since from the beginning. A date of --until is meant with all of\n"
	 "that day. --owner and --id count only what concerns them.\n"},
	{"status", jt_cmd_status, "", 0, 0, B(json), "how the sidecar is",
	 "jeton status --json | jq .health\n"
	 "\n"
	 "Exit 0: it serves and all is well, 1: it is not well, 3: none "
	 "runs.\n"},
	{"upgrade", jt_cmd_upgrade, "", 0, 0, B(json),
	 "let a new jetond take over from the one that serves",
	 "jeton upgrade\n"
	 "\n"
	 "Put the new program where the old one was, then this. The running\n"
	 "jetond starts it beside itself, hands over sockets, meters and open\n"
	 "connections, and leaves. Nobody is refused, and a revoke is in "
	 "force\n"
	 "in both. When the new one does not come to serve, the old one goes "
	 "on.\n"
	 "Exit 0: it serves, 1: it does not, 3: none runs. The same: "
	 "SIGUSR2.\n"},
	{"journal check", jt_cmd_journal_check, "", 0, 0, B(expect) | B(json),
	 "verify everything that was ever committed",
	 "jeton journal check --expect \"$(cat last-receipt)\"\n"
	 "\n"
	 "Exit 4 on any damage, with the record and the byte. A receipt kept\n"
	 "elsewhere proves with --expect that no older copy was put back.\n"},
	{"journal dump", jt_cmd_journal_dump, "", 0, 0, B(json),
	 "print every record as JSON, a line each",
	 "jeton journal dump | jq 'select(.type == \"revoke\")'\n"},
	{"journal tail", jt_cmd_journal_tail, "", 0, 0, B(follow) | B(json),
	 "the last ten records in words; with --follow also what comes",
	 "jeton journal tail --follow --json | jq .name\n"
	 "\n"
	 "Time, verb, id, name, actor, operation; on a terminal the name "
	 "stands\n"
	 "below. Ends with Ctrl-C or its reader.\n"},
	{"journal compact", jt_cmd_journal_compact, "", 0, 0, B(json),
	 "make the journal small: old changes go to an archive",
	 "jeton journal compact\n"
	 "\n"
	 "Tokens, plans and receipts stay as they are, a running sidecar "
	 "follows\n"
	 "by itself. The old file is kept as journal.NNNNNN, and history is "
	 "read\n"
	 "from it as long as it is there.\n"},
	{"journal backup", jt_cmd_journal_backup, "FILE", 1, 1, B(json),
	 "a verified copy in a new file, also while others write",
	 "jeton journal backup /backup/journal-$(date +%F)\n"
	 "\n"
	 "To restore: stop jetond, put the copy in the place of `journal` "
	 "(0600),\n"
	 "run `journal accept` with the receipt if the copy is older, start "
	 "jetond.\n"},
	{"journal rescue", jt_cmd_journal_rescue, "", 0, 0, B(json),
	 "write again after a flush failed",
	 "jeton journal rescue\n"
	 "\n"
	 "Copies what the disk really holds into a new journal.\n"},
	{"journal accept", jt_cmd_journal_accept, "NUMBER:TAG", 1, 1, B(json),
	 "go on with an older journal that was put back",
	 "jeton journal accept 36:0a77e8926673f9124c7ee97234132bc8\n"
	 "\n"
	 "The receipt is that of the older journal's end, as `jeton status`\n"
	 "shows it. Says what is lost. Tokens revoked in the lost part work "
	 "again.\n"},
	{"scan-rules", jt_cmd_scan_rules, "gitleaks|trufflehog", 1, 1, 0,
	 "rules with which secret scanners find our tokens",
	 "jeton scan-rules gitleaks >> .gitleaks.toml\n"
	 "jeton scan-rules trufflehog > trufflehog.yaml\n"},
	{"completion", jt_cmd_completion, "bash|zsh|fish", 1, 1, 0,
	 "completion for a shell", "eval \"$(jeton completion bash)\"\n"},
	{"help", jt_cmd_help, "[VERB]", 0, 2, B(man), "explain a verb",
	 "jeton help create\n"
	 "jeton help --man | man -l -\n"},
	{NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
};

void jt_verb_usage(FILE *out, const struct jt_verb *verb)
{
	fprintf(out, "usage: jeton %s%s%s [options]\n  %s\n", verb->name,
		*verb->operands ? " " : "", verb->operands, verb->brief);
	if (verb->more)
		fprintf(out, "\n%s", verb->more);
	fputs("\noptions:\n", out);
	for (enum jt_option o = 0; o < JT_OPTIONS_N; o++) {
		const char *value = jt_option_value(o);

		if ((verb->options | JT_GLOBAL) & UINT64_C(1) << o)
			fprintf(out, "  --%s %-*s %s\n", jt_option_name(o),
				(int)(22 - strlen(jt_option_name(o))),
				value ? value : "", jt_option_text(o));
	}
}

void jt_verbs_usage(FILE *out)
{
	fputs("usage: jeton [--data DIR] [--run DIR] VERB ...\n\n", out);
	for (const struct jt_verb *v = jt_verbs; v->name; v++)
		fprintf(out, "  %-16s %s\n", v->name, v->brief);
	fputs("\n`jeton help VERB` explains one. Exit codes: 0 done, 1 "
	      "negative "
	      "answer, 2 usage,\n3 sidecar not reached or not in force, "
	      "4 journal, file or permission trouble,\n5 in force, not "
	      "durable.\n",
	      out);
}

/*
 * Descriptors 0-2 must be taken, else a journal opened now would be our
 * stdout. For reading only, so that an answer written there fails and is
 * noticed. True: stdout was closed.
 */
static bool take_stdio(void)
{
	bool closed = fcntl(STDOUT_FILENO, F_GETFD) < 0;
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	return closed;
}

/* A value in argv is in the process list: overwrite it and refuse. */
static bool hide_secrets(int argc, char **argv)
{
	bool found = false;

	for (int i = 1; i < argc; i++) {
		if (!jt_looks_secret(argv[i]))
			continue;
		sodium_memzero(argv[i], strlen(argv[i]));
		found = true;
	}
	return found;
}

/* The verb that the first words name; *USEDP: how many they are. */
static const struct jt_verb *find_verb(const struct jt_args *a, size_t *usedp)
{
	for (const struct jt_verb *v = jt_verbs; v->name; v++) {
		const char *second = strchr(v->name, ' ');
		size_t n =
			second ? (size_t)(second - v->name) : strlen(v->name);

		if (a->n_words == 0 || strlen(a->words[0]) != n ||
		    strncmp(a->words[0], v->name, n) != 0)
			continue;
		*usedp = second ? 2 : 1;
		if (!second ||
		    (a->n_words > 1 && strcmp(a->words[1], second + 1) == 0))
			return v;
	}
	return NULL;
}

/* No verb: perhaps the first word of several, then say so. */
static int no_verb(const struct jt_args *a)
{
	for (const struct jt_verb *v = jt_verbs; v->name; v++) {
		size_t n = strcspn(v->name, " ");

		if (v->name[n] && strlen(a->words[0]) == n &&
		    strncmp(a->words[0], v->name, n) == 0)
			return jt_fail(JT_EXIT_USAGE,
				       "%.*s takes a second word; `jeton help "
				       "%.*s` lists them",
				       (int)n, v->name, (int)n, v->name);
	}
	return jt_fail(JT_EXIT_USAGE, "there is no such verb; `jeton help` "
				      "lists them");
}

static int check_use(const struct jt_cmd *cmd, const struct jt_verb *v)
{
	uint64_t extra = cmd->args.given & ~(v->options | JT_GLOBAL);

	for (enum jt_option o = 0; o < JT_OPTIONS_N; o++)
		if (extra & UINT64_C(1) << o)
			return jt_fail(JT_EXIT_USAGE,
				       "%s takes no --%s; see `jeton help %s`",
				       v->name, jt_option_name(o), v->name);
	if (cmd->n_operands < v->operands_min)
		return jt_fail(JT_EXIT_USAGE,
			       "%s needs %s; see `jeton help %s`", v->name,
			       v->operands, v->name);
	if (cmd->n_operands > v->operands_max)
		return jt_fail(JT_EXIT_USAGE,
			       "%s has too many arguments (quote a name with "
			       "blanks); see `jeton help %s`",
			       v->name, v->name);
	return 0;
}

static int run_verb(struct jt_cmd *cmd)
{
	struct jt_fault fault = {0};
	const struct jt_verb *v;
	size_t used = 0;
	int e;

	v = find_verb(&cmd->args, &used);
	if (!v)
		return no_verb(&cmd->args);
	cmd->operands = cmd->args.words + used;
	cmd->n_operands = cmd->args.n_words - used;
	cmd->json = cmd->args.json != NULL;
	if (cmd->args.help) {
		jt_verb_usage(stdout, v);
		return 0;
	}
	e = check_use(cmd, v);
	if (e)
		return e;
	if (v->run != jt_cmd_help &&
	    jt_paths_resolve(&cmd->paths, cmd->args.data, cmd->args.run,
			     &fault) != 0)
		return jt_fail(JT_EXIT_FILE, "%s", fault.line);
	return v->run(cmd);
}

static int run(struct jt_cmd *cmd)
{
	if (cmd->args.version) {
		puts("jeton " JT_VERSION);
		return 0;
	}
	if (cmd->args.n_words == 0 && cmd->args.help) {
		jt_verbs_usage(stdout);
		return 0;
	}
	if (cmd->args.n_words == 0) {
		jt_verbs_usage(stderr);
		return JT_EXIT_USAGE;
	}
	return run_verb(cmd);
}

static int start(struct jt_cmd *cmd, int argc, char **argv)
{
	char why[JT_WHY_MAX];

	if (sodium_init() < 0)
		return jt_fail(JT_EXIT_FILE, "libsodium does not start");
	if (hide_secrets(argc, argv))
		return jt_fail(
			JT_EXIT_USAGE,
			"an argument looks like a token value: other "
			"users could read it there, so treat it as "
			"exposed (revoke it); values are read from stdin "
			"or --file, ids are 24 characters");
	if (!jt_args_parse(argc, argv, &cmd->args, why))
		return jt_fail(JT_EXIT_USAGE, "%s; see `jeton help`", why);
	return run(cmd);
}

int main(int argc, char **argv)
{
	static struct jt_cmd cmd;
	int code, e;

	cmd.stdout_closed = take_stdio();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file limit is an error, not an end */
	umask(077);
	setlocale(LC_CTYPE, "C.UTF-8"); /* only wcwidth() asks */
	json_set_alloc_funcs(jt_wiping_malloc, jt_wiping_free);
	code = start(&cmd, argc, argv);
	e = jt_stdout_close();
	if (e && code <= JT_EXIT_NO)
		code = jt_fail(JT_EXIT_FILE,
			       "the answer could not be written to stdout (%s)",
			       strerror(-e));
	return code;
}
