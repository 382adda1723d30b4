/* config with a file: who wins, what is printed, what a second reading does. */
#include "sidecar/config.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct jt_config config, next;
static char dir[64], path[96], why[JT_CONFIG_LINE];

static void start(void)
{
	static const char *const names[] = {
		"JETON_WORKERS",     "JETON_CAPACITY", "JETON_CONNECTIONS",
		"JETON_HTTP_LISTEN", "JETON_ENV",      "JETON_LOG_FORMAT",
		"JETON_CONFIG",	     "JETON_DATA",     "JETON_RUN"};

	help_quiet();
	help_dir(dir);
	snprintf(path, sizeof(path), "%s/jetond.conf", dir);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	setenv("JETON_CONFIG", path, 1);
}

TestSuite(config_file, .init = start);

static void write_file(const char *text)
{
	FILE *f = fopen(path, "we");

	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
	cr_assert_eq(chmod(path, 0600), 0);
}

/* The configuration keeps the arguments: they must stay. */
static int read_flags(const char *flags)
{
	static char line[500], program[] = "jetond", *argv[64];
	int argc = 1;

	argv[0] = program;
	snprintf(line, sizeof(line), "%s", flags);
	for (char *word = strtok(line, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	return jt_config_read(&config, argc, argv);
}

Test(config_file, file_beats_the_default)
{
	write_file("[jetond]\nworkers = 7\ndata = /d\nrun = /r\nenv = live\n"
		   "http-listen = [::1]:80\nlog-format = json\n");
	cr_assert_eq(read_flags(""), 0);
	cr_expect_eq(config.workers, 7);
	cr_expect_str_eq(config.paths.data, "/d");
	cr_expect_str_eq(config.paths.run, "/r");
	cr_expect_str_eq(config.env, "live");
	cr_expect_str_eq(config.http_listen, "[::1]:80");
	cr_expect_eq(config.log_format, JT_LOG_JSON);
	cr_expect_str_eq(config.file, path);
}

Test(config_file, environment_beats_the_file)
{
	write_file("[jetond]\nworkers = 7\ndata = /d\nrun = /r\nenv = live\n"
		   "http-listen = [::1]:80\nlog-format = json\n");
	setenv("JETON_WORKERS", "3", 1);
	setenv("JETON_DATA", "/e", 1);
	setenv("JETON_RUN", "", 1); /* says nothing */
	setenv("JETON_ENV", "test", 1);
	setenv("JETON_HTTP_LISTEN", "", 1); /* says: none */
	setenv("JETON_LOG_FORMAT", "plain", 1);
	cr_assert_eq(read_flags(""), 0);
	cr_expect_eq(config.workers, 3);
	cr_expect_str_eq(config.paths.data, "/e");
	cr_expect_str_eq(config.paths.run, "/r");
	cr_expect_str_eq(config.env, "test");
	cr_expect_str_eq(config.http_listen, "");
	cr_expect_eq(config.log_format, JT_LOG_PLAIN);
}

Test(config_file, flag_beats_all)
{
	write_file("[jetond]\nworkers = 7\ndata = /d\nenv = live\n");
	setenv("JETON_WORKERS", "3", 1);
	setenv("JETON_DATA", "/e", 1);
	setenv("JETON_ENV", "test", 1);
	cr_assert_eq(read_flags("--workers 2 --data /f --env prod"), 0);
	cr_expect_eq(config.workers, 2);
	cr_expect_str_eq(config.paths.data, "/f");
	cr_expect_str_eq(config.env, "prod");
	cr_expect_eq(config.origins[JT_SETTING_workers], JT_ORIGIN_FLAG);
}

Test(config_file, flag_names_another_file_than_the_environment)
{
	char flags[128];

	write_file("[jetond]\nworkers = 7\n");
	setenv("JETON_CONFIG", "/no/such/file", 1);
	snprintf(flags, sizeof(flags), "--config %s", path);
	cr_assert_eq(read_flags(flags), 0);
	cr_expect_eq(config.workers, 7);
}

Test(config_file, file_that_was_named_must_be_there)
{
	cr_expect_eq(read_flags(""), JT_CONFIG_E_BAD);
	cr_expect_eq(read_flags("--config /no/such"), JT_CONFIG_E_BAD);
	cr_expect_eq(read_flags("--config /tmp/\033[31m"), JT_CONFIG_E_BAD);
}

Test(config_file, what_does_not_hold_is_checked_all_the_same)
{
	write_file("[jetond]\nworkers = x\n");
	cr_expect_eq(read_flags("--workers 2"), JT_CONFIG_E_BAD);
	write_file("[jetond]\nworkers = 1\n");
	setenv("JETON_WORKERS", "x", 1);
	cr_expect_eq(read_flags("--workers 2"), JT_CONFIG_E_BAD);
}

static const char *const bad[] = {
	"workers = 56",
	"workers =",
	"workers = 1 2",
	"capacity = 63",
	"data = here",
	"data =",
	"run = ./r",
	"data = /a\n\t/b",
	"env = Prod",
	"env = toolong",
	"http-listen = 0.0.0.0:80",
	"http-listen = 10.0.0.1:80",
	"http-listen = 127.0.0.1",
	"http-listen = 127.0.0.1:0",
	"log-format = xml",
	"log-format =",
	"config = /x",
	"help = 1",
	"check-config = 1",
	"http_workers = 1",
	"nosuch = 1",
};

Test(config_file, bad_values_and_unknown_keys_are_bad)
{
	char text[128];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "[jetond]\n%s\n", bad[i]);
		write_file(text);
		cr_expect_eq(read_flags(""), JT_CONFIG_E_BAD, "%s", bad[i]);
	}
}

/* ---- read again ---- */

Test(config_file, second_reading_keeps_flags_and_environment)
{
	write_file("[jetond]\nworkers = 7\ncapacity = 100\n");
	setenv("JETON_CAPACITY", "200", 1);
	cr_assert_eq(read_flags("--workers 2 --connections 9"), 0);
	write_file("[jetond]\nworkers = 8\ncapacity = 300\nenv = live\n"
		   "connections = 5\n[policy web]\ncost = 3\n");
	cr_assert_eq(jt_config_again(&config, &next, why), 0, "%s", why);
	cr_expect_eq(next.workers, 2);
	cr_expect_eq(next.capacity, 200);
	cr_expect_eq(next.connections, 9);
	cr_expect_str_eq(next.env, "live");
	cr_expect_eq(next.content.settings.n_policies, 2);
}

Test(config_file, second_reading_tells_what_is_wrong)
{
	char want[160];

	write_file("[policy a]\ncost = 1\n");
	cr_assert_eq(read_flags(""), 0);
	write_file("[policy a]\ncost = x\n");
	cr_expect_eq(jt_config_again(&config, &next, why), JT_CONFIG_E_BAD);
	snprintf(want, sizeof(want), "%s:2: ", path);
	cr_expect_eq(strncmp(why, want, strlen(want)), 0, "%s", why);
	cr_expect_eq(config.content.settings.policies[1].cost, 1);
	cr_assert_eq(unlink(path), 0);
	cr_expect_eq(jt_config_again(&config, &next, why), JT_CONFIG_E_BAD);
	cr_expect(strstr(why, path), "%s", why);
}

/* Nobody named it, so its being away would pass for there never having been
 * one, and everybody could do again what it had forbidden. */
Test(config_file, default_file_that_is_gone_is_no_empty_one)
{
	unsetenv("JETON_CONFIG");
	cr_assert_eq(read_flags(""), 0);
	strcpy(config.file, JT_CONFIG_PATH);
	cr_expect_eq(jt_config_again(&config, &next, why), JT_CONFIG_E_BAD);
	cr_expect(strstr(why, JT_CONFIG_PATH " is gone"), "%s", why);
}

Test(config_file, differences_are_named)
{
	char names[128];

	write_file("[jetond]\ncapacity = 100\n");
	cr_assert_eq(read_flags("--workers 2"), 0);
	cr_assert_eq(jt_config_again(&config, &next, why), 0);
	jt_config_differ(&config, &next, names, sizeof(names));
	cr_expect_str_eq(names, "");
	write_file("[jetond]\nworkers = 5\ncapacity = 101\nenv = a\n"
		   "log-format = json\ndata = /elsewhere\n[policy x]\n");
	cr_assert_eq(jt_config_again(&config, &next, why), 0);
	jt_config_differ(&config, &next, names, sizeof(names));
	cr_expect_str_eq(names, "capacity, data, env, log-format",
			 "a flag holds workers");
}

/* ---- printing ---- */

static char *print(void)
{
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	cr_assert_eq(jt_config_print(&config, f, why), 0, "%s", why);
	fclose(f);
	return text;
}

static void expect_line(const char *text, const char *line)
{
	cr_expect(strstr(text, line), "no \"%s\" in:\n%s", line, text);
}

Test(config_file, each_setting_is_printed_with_its_origin)
{
	char *text, want[160];

	write_file("# x\n[jetond]\ncapacity = 100\n[policy web]\ncost = 3\n");
	setenv("JETON_CONNECTIONS", "7", 1);
	cr_assert_eq(read_flags("--workers 2 --data /d"), 0);
	text = print();
	snprintf(want, sizeof(want), "# %s:3\ncapacity = 100\n", path);
	expect_line(text, want);
	snprintf(want, sizeof(want), "[policy web]\n# default\nenv =\n");
	expect_line(text, want);
	snprintf(want, sizeof(want), "# %s:5\ncost = 3\n", path);
	expect_line(text, want);
	expect_line(text, "# flag --workers\nworkers = 2\n");
	expect_line(text, "# flag --data\ndata = /d\n");
	expect_line(text, "# environment JETON_CONNECTIONS\n"
			  "connections = 7\n");
	expect_line(text, "# default\nhttp-workers = 1\n");
	expect_line(text, "# default\nenv =\n");
	free(text);
}

Test(config_file, what_is_printed_reads_as_the_same)
{
	char names[128], *text;

	write_file("[jetond]\ncapacity = 100\nenv = live\n"
		   "http-listen = 127.0.0.1:9\n[peer a]\nuid = 7\n"
		   "verify = live\n[policy web]\nscope = a b\n");
	cr_assert_eq(read_flags("--workers 2 --data /d\xc3\xa9;x --run /r"), 0);
	text = print();
	write_file(text);
	free(text);
	next = config;
	cr_assert_eq(read_flags(""), 0);
	jt_config_differ(&config, &next, names, sizeof(names));
	cr_expect_str_eq(names, "");
	cr_expect_eq(memcmp(&config.content.settings, &next.content.settings,
			    sizeof(next.content.settings)),
		     0);
}

Test(config_file, path_that_no_file_can_hold_is_not_printed)
{
	static char flags[400] = "--data /";
	char *text = NULL;
	size_t bytes;
	FILE *f;

	write_file("");
	memset(flags + 8, 'x', 200);
	cr_assert_eq(read_flags(flags), 0);
	f = open_memstream(&text, &bytes);
	cr_expect_eq(jt_config_print(&config, f, why), JT_CONFIG_E_BAD);
	fclose(f);
	cr_expect_str_eq(text, "", "nothing half");
	free(text);
}
