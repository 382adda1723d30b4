/* settings_file: what a file may say, and what it is told when it may not. */
#include "sidecar/settings_file.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct jt_settings_file file, again;
static struct jt_fault fault;
static char told[4096]; /* keys of [jetond], "key=value@line " */

TestSuite(settings_file, .init = help_quiet);

static int tell(void *ctx, const char *key, const char *value, unsigned line,
		struct jt_fault *faultp)
{
	size_t n = strlen(told);

	if (strcmp(key, "refused") == 0)
		return jt_fault_set(faultp, 7, 0, 0, "no such key; none");
	snprintf(told + n, sizeof(told) - n, "%s=%s@%u ", key, value, line);
	return 0;
}

static int parse_bytes(const char *text, size_t bytes)
{
	memset(&file, 0xee, sizeof(file));
	memset(&fault, 0, sizeof(fault));
	told[0] = '\0';
	return jt_settings_file_parse(&file, text, bytes, tell, NULL, &fault);
}

static int parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static void good(const char *text)
{
	cr_assert_eq(parse(text), 0, "%s at %d in:\n%s", fault.line,
		     (int)fault.number, text);
}

static const struct jt_policy *policy(const char *name)
{
	const struct jt_policy *p =
		jt_settings_policy(&file.settings, name, strlen(name));

	cr_assert_not_null(p, "no policy %s", name);
	return p;
}

Test(settings_file, nothing_is_the_default)
{
	static struct jt_settings want;

	jt_settings_default(&want);
	good("");
	cr_expect_eq(memcmp(&file.settings, &want, sizeof(want)), 0);
	good("# only\n\n; remarks\n   # there\n");
	cr_expect_eq(memcmp(&file.settings, &want, sizeof(want)), 0);
	good("[jetond]");
	cr_expect_eq(memcmp(&file.settings, &want, sizeof(want)), 0);
	good("[policy default]\n");
	cr_expect_eq(memcmp(&file.settings, &want, sizeof(want)), 0,
		     "an empty one is the one that was");
}

Test(settings_file, every_key_of_a_policy_is_taken)
{
	const struct jt_policy *p;

	good("[policy web]\n"
	     "env = live\n"
	     "scope = orders:read\torders:write\n"
	     "\tbilling:*\n"
	     "   last\n"
	     "cost=2\n"
	     "credentials = basic bearer api-key\n"
	     "legacy-headers = epoch\n"
	     "hide-verdict = yes\n");
	p = policy("web");
	cr_expect_eq(p->env, jt_env_word("live", 4));
	cr_assert_eq(p->n_scopes, 4);
	cr_expect_str_eq(p->scopes[0], "orders:read");
	cr_expect_str_eq(p->scopes[1], "orders:write");
	cr_expect_str_eq(p->scopes[2], "billing:*");
	cr_expect_str_eq(p->scopes[3], "last");
	cr_expect_eq(p->cost, 2);
	cr_expect_eq(p->credentials, 7);
	cr_expect_eq(p->legacy, JT_LEGACY_EPOCH);
	cr_expect_eq(p->hide_verdict, 1);
	cr_expect_eq(file.settings.n_policies, 2, "default is there, too");
	cr_expect_eq(file.policy_lines[1][0], 2);
	cr_expect_eq(file.policy_lines[1][2], 6);
	cr_expect_eq(file.policy_lines[0][0], 0);
}

Test(settings_file, own_default_policy_replaces_ours)
{
	good("[policy a]\n[policy default]\ncost = 5\n[policy b]\n");
	cr_expect_eq(file.settings.n_policies, 3);
	cr_expect_eq(policy("default")->cost, 5);
	cr_expect_eq(policy("default")->credentials, JT_CREDENTIAL_BEARER);
	cr_expect_eq(policy("a")->cost, 1);
}

Test(settings_file, every_key_of_a_peer_is_taken)
{
	const struct jt_rule *r = file.settings.rules;

	good("[peer a]\n"
	     "uid = 33\n"
	     "verify = live test\n"
	     "see = scopes\n"
	     "attach = look\n"
	     "connections = 10\n"
	     "refusals = 5/s\n"
	     "[peer b]\n"
	     "gid = root\n"
	     "verify = no\n"
	     "see = none\n"
	     "attach = spend\n"
	     "[peer c]\n");
	cr_assert_eq(file.settings.n_rules, 3);
	cr_expect_str_eq(r[0].name, "a");
	cr_expect_eq(r[0].match, JT_RULE_UID);
	cr_expect_eq(r[0].id, 33);
	cr_expect_eq(r[0].verify, 1);
	cr_expect_eq(r[0].n_envs, 2);
	cr_expect_eq(r[0].envs[1], jt_env_word("test", 4));
	cr_expect_eq(r[0].see_owner, 0);
	cr_expect_eq(r[0].see_scopes, 1);
	cr_expect_eq(r[0].attach, JT_ATTACH_LOOK);
	cr_expect_eq(r[0].connections_max, 10);
	cr_expect_eq(r[0].refusals_per_s, 5);
	cr_expect_eq(r[1].match, JT_RULE_GID);
	cr_expect_eq(r[1].id, 0);
	cr_expect_eq(r[1].verify, 0);
	cr_expect_eq(r[1].see_owner + r[1].see_scopes, 0);
	cr_expect_eq(r[1].attach, JT_ATTACH_SPEND);
	cr_expect_eq(r[2].match, JT_RULE_ANYBODY);
	cr_expect_eq(r[2].verify, 1);
	cr_expect_eq(r[2].see_owner + r[2].see_scopes, 2);
	cr_expect_eq(r[2].attach, JT_ATTACH_NO);
}

Test(settings_file, keys_of_the_daemon_are_passed_on_with_their_lines)
{
	good("\xef\xbb\xbf# with a byte order mark\r\n[jetond]\r\n"
	     "workers = 3\r\n\r\ndata=/a b ; c\n; x\nrun: /r\n");
	cr_expect_str_eq(told, "workers=3@3 data=/a b ; c@5 run=/r@7 ");
	cr_expect_eq(parse("[jetond]\na = 1\nrefused = secret\n"),
		     JT_SETTINGS_FILE_E_BAD);
	cr_expect_eq(fault.number, 3);
	cr_expect_str_eq(fault.line, "no such key; none");
}

/* What is refused, where, and a word of the reason. */
static const struct {
	const char *text;
	unsigned line;
	const char *says;
} bad[] = {
	{"a = 1\n", 1, "before any section"},
	{"[]\n", 1, "no section"},
	{"[jetond\n", 1, "`]`"},
	{"[jetond] x\n", 1, "`]`"},
	{"[jetond] # x\n", 1, "`]`"},
	{"[Jetond]\n", 1, "no section"},
	{"[jetond ]\n", 1, "no section"},
	{"[policy]\n", 1, "no section"},
	{"[policyweb]\n", 1, "no section"},
	{"[policy  ]\n", 1, "no name"},
	{"[policy a b]\n", 1, "no name"},
	{"[policy ..]\n", 1, "no name"},
	{"[policy a/b]\n", 1, "no name"},
	{"[policy \xc3\xa9]\n", 1, "no name"},
	{"[policy 0123456789012345678901234567890x]\n", 1, "no name"},
	{"[peer ]\n", 1, "no name"},
	{"[peer 0123456789012345678901234567890x]\n", 1, "no name"},
	{"\n  [jetond]\n", 2, "blanks before it"},
	{"[jetond]\n[policy a]\n[jetond]\n", 3, "already"},
	{"[policy a]\n[policy a]\n", 2, "already"},
	{"[policy a]\ncost = 1\n[peer x]\n[policy a]\n", 4, "already"},
	{"[policy default]\n[policy default]\n", 2, "already"},
	{"[peer a]\n[peer a]\n", 2, "already"},
	{"[jetond]\nx = 1\ny = 2\nx = 1\n", 4, "before in this"},
	{"[policy a]\ncost = 1\ncost = 1\n", 3, "before in this"},
	{"[peer a]\nsee = owner\nsee = owner\n", 3, "before in this"},
	{"[policy a]\nuid = 1\n", 2, "no such key"},
	{"[policy a]\nCost = 1\n", 2, "no such key"},
	{"[policy a]\n= 1\n", 2, "no such key"},
	{"[peer a]\ncost = 1\n", 2, "no such key"},
	{"[peer a]\nuid\n", 2, "neither"},
	{"[peer a]\nuid = 1\nnonsense\nmore\n", 3, "neither"},
	{"[policy a]\n cost = 1\n", 2, "begins with a blank"},
	{"[policy a]\ncost = 1\n 2\n", 3, "begins with a blank"},
	{"[policy a]\nscope = a\ncost = 1\n b\n", 4, "begins with a blank"},
	{"[jetond]\nworkers = 1\n 2\n", 3, "begins with a blank"},
	{"[policy a]\nscope = a\n cost = 1\n", 3, "scope takes"},
	{"[policy a]\nenv = Live\n", 2, "env takes"},
	{"[policy a]\nenv = toolong\n", 2, "env takes"},
	{"[policy a]\nenv = a b\n", 2, "env takes"},
	{"[policy a]\nscope = a::b\n", 2, "scope takes"},
	{"[policy a]\nscope = a,b\n", 2, "scope takes"},
	{"[policy a]\nscope = a ; b\n", 2, "scope takes"},
	{"[policy a]\nscope = 0123456789012345678901234567890123456789012"
	 "34567\n",
	 2, "scope takes"},
	{"[policy a]\nscope = 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n 17\n", 3,
	 "scope takes"},
	{"[policy a]\ncost =\n", 2, "cost takes"},
	{"[policy a]\ncost = -1\n", 2, "cost takes"},
	{"[policy a]\ncost = 1x\n", 2, "cost takes"},
	{"[policy a]\ncost = +1\n", 2, "cost takes"},
	{"[policy a]\ncost = 4294967296\n", 2, "cost takes"},
	{"[policy a]\ncredentials =\n", 2, "credentials takes"},
	{"[policy a]\ncredentials = none\n", 2, "credentials takes"},
	{"[policy a]\ncredentials = bearer, basic\n", 2, "credentials takes"},
	{"[policy a]\nlegacy-headers = on\n", 2, "legacy-headers takes"},
	{"[policy a]\nhide-verdict = true\n", 2, "hide-verdict takes"},
	{"[peer a]\nuid = nosuchuser\n", 2, "uid takes"},
	{"[peer a]\nuid =\n", 2, "uid takes"},
	{"[peer a]\nuid = 4294967295\n", 2, "uid takes"},
	{"[peer a]\nuid = -1\n", 2, "uid takes"},
	{"[peer a]\ngid = nosuchgroup\n", 2, "gid takes"},
	{"[peer a]\nuid = 1\ngid = 1\n", 3, "no uid beside"},
	{"[peer a]\ngid = 1\nuid = 1\n", 3, "no gid beside"},
	{"[peer a]\nverify =\n", 2, "verify takes"},
	{"[peer a]\nverify = Live\n", 2, "verify takes"},
	{"[peer a]\nverify = 1 2 3 4 5 6 7 8 9\n", 2, "verify takes"},
	{"[peer a]\nverify = yes\n live\n", 3, "verify takes"},
	{"[peer a]\nsee =\n", 2, "see takes"},
	{"[peer a]\nsee = none owner\n", 2, "see takes"},
	{"[peer a]\nsee = none\n owner\n", 3, "see takes"},
	{"[peer a]\nsee = all\n", 2, "see takes"},
	{"[peer a]\nattach = yes\n", 2, "attach takes"},
	{"[peer a]\nconnections = many\n", 2, "connections takes"},
	{"[peer a]\nrefusals = 5\n", 2, "refusals takes"},
	{"[peer a]\nrefusals = 5/m\n", 2, "refusals takes"},
	{"[peer a]\nrefusals = /s\n", 2, "refusals takes"},
	{"[peer a]\nrefusals = -5/s\n", 2, "refusals takes"},
	{"# \xff\n", 1, "UTF-8"},
	{"\n# \xc0\x80\n", 2, "UTF-8"},
	{"# \xed\xa0\x80\n", 1, "UTF-8"},
	{"# cut off \xc3", 1, "UTF-8"},
	{"\n\n# \033[31m\n", 3, "control"},
	{"# \x7f\n", 1, "control"},
};

Test(settings_file, what_is_not_understood_is_told_with_its_line)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(parse(bad[i].text), JT_SETTINGS_FILE_E_BAD,
			     "taken: %s", bad[i].text);
		cr_expect_eq(fault.number, bad[i].line, "%d of: %s",
			     (int)fault.number, bad[i].text);
		cr_expect(strstr(fault.line, bad[i].says), "%s of: %s",
			  fault.line, bad[i].text);
		cr_expect(strstr(fault.line, ";"), "what to do: %s",
			  fault.line);
		cr_expect_null(strchr(fault.line, '\n'));
	}
}

Test(settings_file, zero_byte_is_refused_wherever_it_stands)
{
	static const char text[] = "[policy a]\ncost = 1\n";
	char copy[sizeof(text)];

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		memcpy(copy, text, sizeof(text));
		copy[i] = '\0';
		cr_expect_eq(parse_bytes(copy, sizeof(text) - 1),
			     JT_SETTINGS_FILE_E_BAD, "at %zu", i);
		cr_expect(strstr(fault.line, "zero byte"), "%s", fault.line);
	}
}

Test(settings_file, line_of_190_bytes_fits_and_of_191_does_not)
{
	char text[400] = "[jetond]\ndata = ", *line = text + 9;

	memset(line + 7, 'x', 190 - 7);
	good(text);
	cr_expect_eq(strlen(told), strlen("data=@2 ") + 190 - 7);
	line[190] = 'x';
	cr_expect_eq(parse(text), JT_SETTINGS_FILE_E_BAD);
	cr_expect_eq(fault.number, 2);
	cr_expect(strstr(fault.line, "longer than 190"), "%s", fault.line);
}

static void many(char *text, const char *kind, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		text += sprintf(text, "[%s n%u]\n", kind, i);
}

Test(settings_file, tables_hold_64_of_each_and_no_more)
{
	static char text[4096];

	many(text, "policy", 63); /* and the default */
	good(text);
	cr_expect_eq(file.settings.n_policies, 64);
	many(text, "policy", 64);
	cr_expect_eq(parse(text), JT_SETTINGS_FILE_E_BAD);
	cr_expect_eq(fault.number, 64);
	cr_expect(strstr(fault.line, "too many"), "%s", fault.line);
	many(text, "peer", 64);
	good(text);
	cr_expect_eq(file.settings.n_rules, 64);
	many(text, "peer", 65);
	cr_expect_eq(parse(text), JT_SETTINGS_FILE_E_BAD);
	cr_expect_eq(fault.number, 65);
}

Test(settings_file, file_that_is_too_large_is_refused)
{
	static char text[JT_SETTINGS_FILE_MAX + 2];

	memset(text, '\n', sizeof(text));
	cr_expect_eq(parse_bytes(text, JT_SETTINGS_FILE_MAX), 0);
	cr_expect_eq(parse_bytes(text, JT_SETTINGS_FILE_MAX + 1),
		     JT_SETTINGS_FILE_E_BAD);
}

/* A token pasted by mistake, wherever: no message shows any of it. */
Test(settings_file, no_message_repeats_what_stands_in_the_file)
{
	static const char *const forms[] = {
		"SECRET\n",
		"[SECRET]\n",
		"[policy SECRETSECRETSECRETSECRETSECRET12]\n",
		"[peer SECRETSECRETSECRETSECRETSECRET12]\n",
		"[jetond]\nSECRET = 1\nSECRET = 1\nrefused = SECRET\n",
		"[policy a]\nSECRET = 1\n",
		"[policy a]\nenv = SECRET\n",
		"[policy a]\nscope = a\n =SECRET\n",
		"[peer a]\nuid = SECRET\n",
		"[peer a]\nSECRET: 1\n",
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		cr_expect_eq(parse(forms[i]), JT_SETTINGS_FILE_E_BAD, "%s",
			     forms[i]);
		cr_expect_null(strstr(fault.line, "SECRET"), "%s", fault.line);
	}
}

/* ---- printed and read again ---- */

static void read_back(void)
{
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	jt_settings_file_print(&file, "/some/where", f);
	fclose(f);
	cr_assert_eq(
		jt_settings_file_parse(&again, text, bytes, tell, NULL, &fault),
		0, "%s at %d of:\n%s", fault.line, (int)fault.number, text);
	cr_expect_eq(
		memcmp(&file.settings, &again.settings, sizeof(file.settings)),
		0, "another one:\n%s", text);
	free(text);
}

Test(settings_file, what_is_printed_reads_as_the_same)
{
	static const char *const texts[] = {
		"",
		"[policy default]\nenv = x\nscope = a\ncost = 0\n",
		"[peer a]\nverify = no no\n[peer b]\nverify = yes no\n",
		"[peer a]\nverify = no\n[peer b]\nverify = yes\n",
		"[peer a]\ngid = 4294967294\nverify = 1 2 3 4 5 6 7 8\n",
		"[policy a]\ncredentials = basic\nlegacy-headers = delta\n",
		"[peer a]\nsee = owner\nattach = spend\nrefusals = 9/s\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		good(texts[i]);
		read_back();
	}
}

Test(settings_file, longest_lists_are_wrapped_and_read_back)
{
	static char text[4096];
	char *at = text + sprintf(text, "[policy a]\nscope =");

	for (unsigned i = 0; i < 16; i++)
		at += sprintf(at, "\n\t%02u%045u", i, 0);
	good(text);
	cr_expect_eq(policy("a")->n_scopes, 16);
	read_back();
}

/* ---- the file itself ---- */

static int read_at(const char *path)
{
	memset(&fault, 0, sizeof(fault));
	return jt_settings_file_read(&file, path, tell, NULL, &fault);
}

Test(settings_file, only_a_regular_file_that_not_everybody_writes_is_read)
{
	char dir[64], path[96], to[96];
	int fd;

	help_dir(dir);
	snprintf(path, sizeof(path), "%s/f", dir);
	snprintf(to, sizeof(to), "%s/link", dir);
	cr_expect_eq(read_at(path), -ENOENT);
	cr_expect_eq(read_at(dir), JT_SETTINGS_FILE_E_BAD);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);
	cr_assert_eq(write(fd, "[policy a]\n", 11), 11);
	close(fd);
	cr_assert_eq(chmod(path, 0640), 0);
	cr_expect_eq(read_at(path), 0, "%s", fault.line);
	cr_assert_eq(symlink(path, to), 0);
	cr_expect_eq(read_at(to), 0, "as a mounted map of a cluster is");
	cr_assert_eq(chmod(path, 0666), 0);
	cr_expect_eq(read_at(path), JT_SETTINGS_FILE_E_BAD);
	cr_expect(strstr(fault.line, "chmod"), "%s", fault.line);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect_eq(read_at(path), JT_SETTINGS_FILE_E_BAD, "nobody writes");
	cr_expect(strstr(fault.line, "regular"), "%s", fault.line);
	cr_expect_eq(read_at("/dev/zero"), JT_SETTINGS_FILE_E_BAD);
}
