/* config: where each number comes from, and which are none. */
#include "sidecar/config.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct jt_config config;

static void start(void)
{
	help_quiet();
	unsetenv("JETON_WORKERS");
	unsetenv("JETON_CAPACITY");
	unsetenv("JETON_CONNECTIONS");
	setenv("JETON_DATA", "/tmp/data", 1);
	setenv("JETON_RUN", "/tmp/run", 1);
}

TestSuite(config, .init = start);

/* Flags, separated by blanks. */
static int read_flags(const char *flags)
{
	char line[5000], program[] = "jetond", *argv[64] = {program};
	int argc = 1;

	snprintf(line, sizeof(line), "%s", flags);
	for (char *word = strtok(line, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	memset(&config, 0xee, sizeof(config));
	optind = 0; /* begin anew */
	return jt_config_read(&config, argc, argv);
}

Test(config, defaults_need_no_word)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	cr_assert_eq(read_flags(""), 0);
	cr_expect_eq(config.workers, cores > 2 ? (uint64_t)cores - 1 : 1);
	cr_expect_eq(config.capacity, 131072);
	cr_expect_eq(config.connections, 1024);
	cr_expect_str_eq(config.paths.data, "/tmp/data");
	cr_expect_str_eq(config.paths.run, "/tmp/run");
}

Test(config, environment_beats_the_default)
{
	setenv("JETON_WORKERS", "7", 1);
	setenv("JETON_CAPACITY", "1000", 1);
	setenv("JETON_CONNECTIONS", "20000", 1);
	cr_assert_eq(read_flags(""), 0);
	cr_expect_eq(config.workers, 7);
	cr_expect_eq(config.capacity, 1000);
	cr_expect_eq(config.connections, 20000);
}

Test(config, flag_beats_the_environment)
{
	setenv("JETON_WORKERS", "7", 1);
	setenv("JETON_CAPACITY", "1000", 1);
	cr_assert_eq(read_flags("--workers 3 --capacity=64 --connections 5 "
				"--data /tmp/d --run=/tmp/r"),
		     0);
	cr_expect_eq(config.workers, 3);
	cr_expect_eq(config.capacity, 64);
	cr_expect_eq(config.connections, 5);
	cr_expect_str_eq(config.paths.data, "/tmp/d");
	cr_expect_str_eq(config.paths.run, "/tmp/r");
	cr_expect(config.paths.data_given);
}

Test(config, last_flag_counts)
{
	cr_assert_eq(read_flags("--workers 3 --workers 4"), 0);
	cr_expect_eq(config.workers, 4);
}

Test(config, numbers_at_their_limits_are_taken)
{
	cr_assert_eq(read_flags("--workers 55 --capacity 1000000000 "
				"--connections 1"),
		     0);
	cr_expect_eq(config.workers, 55);
	cr_expect_eq(config.capacity, 1000000000);
	cr_expect_eq(config.connections, 1);
	cr_assert_eq(read_flags("--workers 0"), 0);
	cr_expect_geq(config.workers, 1, "0: chosen");
}

static const char *const bad[] = {
	"64",
	"-1",
	"x",
	"1x",
	"1.5",
	"1e3",
	"0x10",
	"1 ",
	"1\t",
	"--",
	"18446744073709551616",
	"99999999999999999999",
	"-18446744073709551615",
};
#define N_BAD (sizeof(bad) / sizeof(bad[0]))

Test(config, bad_numbers_in_flags_are_usage)
{
	char program[] = "jetond", flag[] = "--workers", value[64];

	for (unsigned i = 0; i < N_BAD; i++) {
		char *argv[] = {program, flag, value, NULL};

		snprintf(value, sizeof(value), "%s", bad[i]);
		optind = 0;
		cr_expect_eq(jt_config_read(&config, 3, argv),
			     JT_CONFIG_E_USAGE, "\"%s\"", bad[i]);
	}
}

Test(config, bad_numbers_in_the_environment_are_bad)
{
	for (unsigned i = 0; i < N_BAD; i++) {
		setenv("JETON_WORKERS", bad[i], 1);
		cr_expect_eq(read_flags(""), JT_CONFIG_E_BAD, "\"%s\"", bad[i]);
	}
}

Test(config, numbers_with_anything_before_them_are_bad)
{
	static const char *const odd[] = {" 5", "+5", "\n5",
					  " -18446744073709551611"};

	for (unsigned i = 0; i < 4; i++) {
		setenv("JETON_WORKERS", odd[i], 1);
		cr_expect_eq(read_flags(""), JT_CONFIG_E_BAD, "\"%s\"", odd[i]);
	}
}

Test(config, numbers_just_beyond_their_limits_are_refused)
{
	static const char *const flags[] = {
		"--workers 56",		 "--capacity 63",
		"--capacity 1000000001", "--connections 0",
		"--connections 20001",	 "--capacity 0",
	};

	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		cr_expect_eq(read_flags(flags[i]), JT_CONFIG_E_USAGE, "%s",
			     flags[i]);
}

Test(config, unknown_flags_and_arguments_are_usage)
{
	static const char *const flags[] = {
		"--nosuch",
		"--workers",
		"--data",
		"-w 3",
		"argument",
		"-",
		"--workers 3 more",
		"--help=yes",
		"-h",
		"--workersx 3",
	};

	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		cr_expect_eq(read_flags(flags[i]), JT_CONFIG_E_USAGE, "%s",
			     flags[i]);
}

Test(config, help_and_version_end_well)
{
	cr_expect_eq(read_flags("--help"), JT_CONFIG_E_DONE);
	cr_expect_eq(read_flags("--version"), JT_CONFIG_E_DONE);
	cr_expect_eq(read_flags("--workers 3 --help"), JT_CONFIG_E_DONE);
}

Test(config, paths_with_control_characters_are_bad)
{
	cr_expect_eq(read_flags("--data /tmp/a\nb"), JT_CONFIG_E_BAD);
	cr_expect_eq(read_flags("--run /tmp/\033[31m"), JT_CONFIG_E_BAD);
	setenv("JETON_DATA", "/tmp/\x7f", 1);
	cr_expect_eq(read_flags(""), JT_CONFIG_E_BAD);
}

Test(config, relative_paths_become_absolute)
{
	char here[4096], want[5000];

	cr_assert_not_null(getcwd(here, sizeof(here)));
	cr_assert_eq(read_flags("--data some/where --run ."), 0);
	snprintf(want, sizeof(want), "%s/some/where", here);
	cr_expect_str_eq(config.paths.data, want);
	cr_expect_eq(config.paths.run[0], '/');
}

Test(config, path_that_is_too_long_is_bad)
{
	char flags[4200] = "--data /";

	memset(flags + 8, 'x', 4150);
	cr_expect_eq(read_flags(flags), JT_CONFIG_E_BAD);
}
