/*
 * numbers: what is new gets the next number and a record, what is known keeps
 * its own; without a keeper from the journal, with one from what it says.
 *
 * The keeper is a forked child that holds the serving lock and answers by the
 * verb, the same each time; what it was asked stands in a file.
 */
#include "admin/numbers.h"

#include "tests/help_admin.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct jt_cmd cmd;
static struct jt_change change;
static struct jt_numbers n;
static pid_t keeper;

static void start(void)
{
	keeper = 0;
	help_admin_new(&cmd);
}

static void begin(void)
{
	cr_assert_eq(jt_change_begin(&change, &cmd.paths), 0, "%s",
		     help_said());
	cr_assert_eq(jt_numbers_begin(&n, &change), 0);
}

static void stop(void)
{
	if (n.change) {
		jt_numbers_end(&n);
		jt_change_end(&change);
	}
	if (keeper > 0) {
		kill(keeper, SIGKILL);
		waitpid(keeper, NULL, 0);
	}
}

TestSuite(numbers, .init = start, .fini = stop);

/* Commit what was made, and begin again. */
static void commit_made(void)
{
	cr_assert_gt(n.n_made, 0);
	cr_assert_eq(jt_change_commit(&change, n.made, n.n_made), 0, "%s",
		     help_said());
	jt_numbers_end(&n);
	jt_change_end(&change);
	begin();
}

static struct jt_limit limit(const char *rate, const char *quota)
{
	struct jt_limit l;

	cr_assert_eq(jt_limits_parse(rate, NULL, quota, &l), 0);
	return l;
}

static uint16_t limit_number(const char *rate, const char *quota)
{
	struct jt_limit l = limit(rate, quota);
	uint16_t number = 77;

	cr_assert_eq(jt_numbers_limit(&n, &l, &number), 0, "%s", help_said());
	return number;
}

static uint16_t scopes_number(const char *list)
{
	uint16_t number = 77;

	cr_assert_eq(jt_numbers_scopes(&n, list, &number), 0, "%s",
		     help_said());
	return number;
}

static uint16_t plan_number(const char *name)
{
	uint16_t number = 77;

	cr_assert_eq(jt_numbers_plan(&n, name, &number), 0, "%s", help_said());
	return number;
}

/* `plan set NAME`: the caller fills in name and limits. */
static uint16_t set_plan(const char *name, const char *rate)
{
	struct jt_limit l = limit(rate, NULL);
	uint16_t number = 77;
	struct jt_record *r;

	cr_assert_eq(jt_numbers_name(&n, name, &number), 0, "%s", help_said());
	r = &n.made[n.n_made - 1];
	cr_assert_eq(r->type, JT_REC_PLAN);
	cr_assert_eq(r->plan.number, number);
	memcpy(r->plan.name, name, strlen(name));
	jt_limits_put(&l, &r->plan);
	return number;
}

/* ---- from the journal ---- */

Test(numbers, no_limit_no_plan_and_no_scope_have_number_0)
{
	begin();
	cr_expect_eq(limit_number(NULL, NULL), 0);
	cr_expect_eq(plan_number(""), 0);
	cr_expect_eq(scopes_number(""), 0);
	cr_expect_eq(n.n_made, 0);
	cr_expect_null(n.catalog, "nothing to look for");
}

Test(numbers, new_limits_get_the_next_numbers_each_once)
{
	begin();
	cr_expect_eq(limit_number("5/s", NULL), 1);
	cr_expect_eq(limit_number("6/s", NULL), 2);
	cr_expect_eq(limit_number("5/s", NULL), 1);
	cr_expect_eq(limit_number("5/s", "9/day"), 3);
	cr_expect_eq(n.n_made, 3);
	cr_expect_eq(n.made[2].type, JT_REC_PLAN);
	cr_expect_eq(n.made[2].plan.number, 3);
	cr_expect_eq(n.made[2].plan.quota, 9);
	cr_expect_eq(n.made[2].plan.name[0], '\0');
	commit_made();
	cr_expect_eq(limit_number("6/s", NULL), 2);
	cr_expect_eq(limit_number("5/s", "9/day"), 3);
	cr_expect_eq(n.n_made, 0);
	cr_expect_eq(limit_number("7/s", NULL), 4);
}

Test(numbers, limits_of_a_plan_are_not_taken_for_a_tokens_own)
{
	begin();
	cr_expect_eq(set_plan("gold", "5/s"), 1);
	cr_expect_eq(limit_number("5/s", NULL), 2);
	commit_made();
	cr_expect_eq(limit_number("5/s", NULL), 2);
}

Test(numbers, plan_keeps_its_number_when_it_changes)
{
	begin();
	cr_expect_eq(set_plan("gold", "5/s"), 1);
	commit_made();
	cr_expect_eq(plan_number("gold"), 1);
	cr_expect_eq(set_plan("gold", "6/s"), 1);
	cr_expect_eq(set_plan("silver", "6/s"), 2);
	cr_expect_eq(n.plans_made, 1, "only one is new");
	commit_made();
	cr_expect_eq(plan_number("gold"), 1);
	cr_expect_eq(plan_number("silver"), 2);
	cr_expect_eq(set_plan("bronze", "1/s"), 3);
}

static void expect_no_plan(const char *name)
{
	uint16_t number;

	cr_expect_eq(jt_numbers_plan(&n, name, &number), JT_EXIT_NO);
	cr_expect_not_null(strstr(help_said(), "there is no plan"));
}

Test(numbers, plan_that_is_not_there_or_was_removed_is_refused)
{
	begin();
	expect_no_plan("gold");
	set_plan("gold", "5/s");
	commit_made();
	expect_no_plan("gol");
	expect_no_plan("golden");
	set_plan("gold", "5/s");
	n.made[0].plan.removed = 1;
	commit_made();
	expect_no_plan("gold");
	cr_expect_eq(set_plan("gold", "7/s"), 1, "its number, again");
	commit_made();
	cr_expect_eq(plan_number("gold"), 1);
}

Test(numbers, scopes_get_names_first_and_then_a_set)
{
	begin();
	cr_expect_eq(scopes_number("a b:*"), 1);
	cr_expect_eq(n.n_made, 3);
	cr_expect_eq(n.made[0].type, JT_REC_SCOPE);
	cr_expect_str_eq(n.made[0].scope.name, "a");
	cr_expect_eq(n.made[0].scope.number, 1);
	cr_expect_str_eq(n.made[1].scope.name, "b:*");
	cr_expect_eq(n.made[1].scope.number, 2);
	cr_expect_eq(n.made[2].type, JT_REC_SCOPES);
	cr_expect_eq(n.made[2].scopes.bits[0], 3);
	cr_expect_eq(scopes_number("a b:*"), 1);
	cr_expect_eq(scopes_number("a"), 2, "a name that this batch made");
	cr_expect_eq(n.n_made, 4);
	commit_made();
	cr_expect_eq(scopes_number("a"), 2);
	cr_expect_eq(scopes_number("a b:*"), 1);
	cr_expect_eq(n.n_made, 0);
	cr_expect_eq(scopes_number("a c"), 3);
	cr_expect_eq(n.n_made, 2);
	cr_expect_eq(n.made[0].scope.number, 3);
	cr_expect_eq(n.made[1].scopes.bits[0], 5);
}

/* What it makes is what the ledger and the catalog take. */
Test(numbers, what_was_made_folds)
{
	struct jt_catalog c;

	begin();
	limit_number("5/s", "1/day");
	scopes_number("a b c");
	set_plan("gold", "5/s");
	scopes_number("a c");
	limit_number("6/s", NULL);
	commit_made();
	help_admin_fold(&cmd, &c);
	cr_expect_eq(c.n_plans, 3);
	cr_expect_eq(c.n_scopes, 3);
	cr_expect_eq(c.n_sets, 2);
	cr_expect_eq(c.sets[2].bits[0], 5);
	jt_catalog_deinit(&c);
}

static void make_scopes(unsigned first, unsigned last)
{
	static struct jt_record records[256];
	char name[16];
	size_t k = 0;

	for (unsigned i = first; i <= last; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		records[k++] = help_scope_record((uint16_t)i, name);
	}
	help_admin_commit(&cmd, records, k);
}

Test(numbers, scope_beyond_the_last_is_refused)
{
	uint16_t set;

	make_scopes(1, 255);
	begin();
	cr_expect_eq(jt_numbers_scopes(&n, "new1 new2", &set), JT_EXIT_NO);
	cr_expect_not_null(strstr(help_said(), "256 scopes"));
	cr_expect_eq(scopes_number("s255 s9"), 1);
}

Test(numbers, scope_256_is_the_last)
{
	make_scopes(1, 255);
	begin();
	scopes_number("new1");
	cr_expect_eq(n.made[0].scope.number, 256);
	cr_expect_eq(n.made[1].scopes.bits[31], 0x80);
	commit_made();
	cr_expect_eq(scopes_number("new1"), 1);
}

Test(numbers, set_beyond_the_last_is_refused)
{
	static struct jt_record records[JT_SETS_N];
	uint16_t set;

	make_scopes(1, 14);
	for (unsigned i = 0; i < JT_SETS_N; i++) {
		records[i] = help_set_record((uint16_t)(i + 1), 1, 0);
		records[i].scopes.bits[0] = (uint8_t)(i + 1);
		records[i].scopes.bits[1] = (uint8_t)((i + 1) >> 8);
	}
	help_admin_commit(&cmd, records, JT_SETS_N);
	begin();
	cr_expect_eq(scopes_number("s1 s2"), 3, "known");
	cr_expect_eq(jt_numbers_scopes(&n, "s14", &set), JT_EXIT_NO);
	cr_expect_not_null(strstr(help_said(), "8,191"));
}

Test(numbers, limit_beyond_the_last_number_is_refused)
{
	static struct jt_record records[65535];
	struct jt_limit l;
	uint16_t number;

	for (unsigned i = 0; i < 65535; i++)
		records[i] = help_plan_record((uint16_t)(i + 1), "", i + 1, 1);
	help_admin_commit(&cmd, records, 65535);
	begin();
	l = jt_limits_of(&records[65534].plan);
	cr_assert_eq(jt_numbers_limit(&n, &l, &number), 0);
	cr_expect_eq(number, 65535);
	l.burst = 2;
	cr_expect_eq(jt_numbers_limit(&n, &l, &number), JT_EXIT_NO);
	cr_expect_not_null(strstr(help_said(), "65,535"));
	cr_expect_eq(jt_numbers_name(&n, "gold", &number), JT_EXIT_NO);
}

Test(numbers, without_a_keeper_nobody_is_asked_for_room)
{
	begin();
	n.room.values = UINT64_MAX;
	cr_expect_eq(jt_numbers_use(&n, 1, 2), 0);
	cr_expect_eq(n.room.plans, 0);
	cr_expect_eq(jt_numbers_fit(&n, "nothing was changed"), 0);
}

/* 65,535 tokens, each with a pair of its own: of 256 plans and 256 limits. */
static struct help_token full[65535];

static void fill_with_pairs(void)
{
	static struct jt_record records[65535];
	char name[16];

	for (unsigned i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "plan%u", i);
		records[i] = help_plan_record((uint16_t)(i + 1), name, 1, 1);
		records[256 + i] =
			help_plan_record((uint16_t)(257 + i), "", 1, i + 1);
	}
	help_admin_commit(&cmd, records, 512);
	for (unsigned i = 0; i < 65535; i++) {
		help_token_make(&full[i], "live");
		records[i] = help_create(&full[i]);
		records[i].token.plan = (uint16_t)(1 + i / 256);
		records[i].token.own = (uint16_t)(257 + i % 256);
	}
	help_admin_commit(&cmd, records, 65535);
}

static void expect_no_new_pair(void)
{
	cr_expect_eq(jt_numbers_use(&n, 256, 511), 0, "a token has it");
	cr_expect_eq(jt_numbers_use(&n, 256, 512), JT_EXIT_NO);
	cr_expect_not_null(strstr(help_said(), "65,535 different limits"));
	cr_expect_eq(jt_numbers_use(&n, 256, 0), JT_EXIT_NO);
	cr_expect_eq(jt_numbers_use(&n, 0, 512), JT_EXIT_NO);
	cr_expect_eq(jt_numbers_use(&n, 0, 0), 0, "needs none");
}

Test(numbers, pair_beyond_the_last_is_refused_without_a_keeper)
{
	fill_with_pairs();
	begin();
	expect_no_new_pair();
}

Test(numbers, revoked_token_keeps_its_pair_and_a_purged_one_does_not)
{
	struct jt_record gone = {0};

	fill_with_pairs();
	gone = help_create(&full[0]);
	gone.token.plan = 1;
	gone.token.own = 257;
	gone.type = JT_REC_REVOKE;
	help_admin_commit(&cmd, &gone, 1);
	begin();
	expect_no_new_pair();
	jt_numbers_end(&n);
	jt_change_end(&change);
	gone.type = JT_REC_PURGE;
	help_admin_commit(&cmd, &gone, 1);
	begin();
	cr_expect_eq(jt_numbers_use(&n, 256, 512), 0);
	cr_expect_eq(jt_numbers_use(&n, 256, 512), 0, "the same");
	cr_expect_eq(jt_numbers_use(&n, 256, 0), JT_EXIT_NO);
}

/* ---- from a keeper ---- */

/* The first of these that the line begins with. */
struct answer {
	const char *line, *reply;
};

static const struct answer *answers;

static const char *reply_to(const char *line)
{
	for (const struct answer *a = answers; a->line; a++)
		if (strncmp(line, a->line, strlen(a->line)) == 0)
			return a->reply;
	return "ERR USAGE nobody taught me that\n";
}

static void be_keeper(int lock, int ready)
{
	struct sockaddr_un a;
	char line[512], text[PATH_MAX + 64];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), log;

	snprintf(text, sizeof(text), "pid 1\ncontrol %s/%s\n", cmd.paths.run,
		 JT_CONTROL_NAME);
	if (write(lock, text, strlen(text)) < 0 || flock(lock, LOCK_EX) ||
	    jt_paths_socket(cmd.paths.run, JT_CONTROL_NAME, &a) ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 4) ||
	    write(ready, "x", 1) != 1)
		_exit(1);
	fd = accept(fd, NULL, NULL);
	snprintf(text, sizeof(text), "%s/asked", cmd.paths.data);
	log = open(text, O_WRONLY | O_CREAT | O_APPEND, 0600);
	for (;;) {
		ssize_t k = recv(fd, line, sizeof(line) - 1, 0);
		const char *reply;

		if (k <= 0)
			_exit(0);
		line[k] = '\0';
		reply = reply_to(line);
		if (write(log, line, (size_t)k) != k ||
		    send(fd, reply, strlen(reply), MSG_NOSIGNAL) < 0)
			_exit(2);
	}
}

static void serve(const struct answer *with)
{
	char path[PATH_MAX + 32], ready;
	int lock, pipe_fd[2];

	answers = with;
	snprintf(path, sizeof(path), "%s/%s", cmd.paths.data, JT_SERVING_NAME);
	lock = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	cr_assert(lock >= 0 && !pipe(pipe_fd));
	keeper = fork();
	if (keeper == 0)
		be_keeper(lock, pipe_fd[1]);
	close(lock);
	close(pipe_fd[1]);
	cr_assert_eq(read(pipe_fd[0], &ready, 1), 1);
	close(pipe_fd[0]);
	begin();
	cr_assert_eq(change.sidecar, 0, "%s", change.control.line);
}

static const char *asked(void)
{
	static char text[8192];
	char path[PATH_MAX + 32];
	ssize_t k;
	int fd;

	snprintf(path, sizeof(path), "%s/asked", cmd.paths.data);
	fd = open(path, O_RDONLY);
	k = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[k > 0 ? k : 0] = '\0';
	close(fd);
	return text;
}

Test(numbers, keeper_says_what_is_known_and_what_comes_next)
{
	static const struct answer with[] = {
		{"LIMIT 0 5 ", "OK 3 9\n"},    {"LIMIT ", "OK 0 9\n"},
		{"PLAN 0 gold\n", "OK 4 0\n"}, {"PLAN ", "OK 0 0\n"},
		{"SCOPE 0 a\n", "OK 2 6\n"},   {"SCOPE ", "OK 0 6\n"},
		{"SET ", "OK 0 7\n"},	       {NULL, NULL}};

	serve(with);
	cr_expect_eq(limit_number("5/s", NULL), 3);
	cr_expect_eq(limit_number("6/s", NULL), 9);
	cr_expect_eq(limit_number("7/s", NULL), 10);
	cr_expect_eq(limit_number("6/s", NULL), 9);
	cr_expect_eq(plan_number("gold"), 4);
	cr_expect_eq(set_plan("silver", "1/s"), 11);
	cr_expect_eq(set_plan("gold", "1/s"), 4);
	cr_expect_eq(scopes_number("a b c"), 7);
	cr_expect_eq(n.made[n.n_made - 1].scopes.bits[0],
		     1 << 1 | 1 << 5 | 1 << 6);
	cr_expect_eq(scopes_number("c"), 8);
	cr_expect_null(n.catalog, "the keeper knows");
}

Test(numbers, keeper_without_a_number_left_is_believed)
{
	static const struct answer with[] = {
		{"LIMIT ", "OK 0 0\n"},	     {"PLAN ", "OK 0 0\n"},
		{"SCOPE 0 a\n", "OK 1 0\n"}, {"SCOPE ", "OK 0 0\n"},
		{"SET ", "OK 0 0\n"},	     {NULL, NULL}};
	struct jt_limit l = limit("5/s", NULL);
	uint16_t number;

	serve(with);
	cr_expect_eq(jt_numbers_limit(&n, &l, &number), JT_EXIT_NO);
	cr_expect_eq(jt_numbers_name(&n, "gold", &number), JT_EXIT_NO);
	cr_expect_eq(jt_numbers_scopes(&n, "b", &number), JT_EXIT_NO);
	cr_expect_eq(jt_numbers_scopes(&n, "a", &number), JT_EXIT_NO);
	cr_expect_eq(n.n_made, 0);
}

Test(numbers, pairs_that_the_keeper_does_not_know_are_counted_once)
{
	static const struct answer with[] = {{"PAIR 0 1 2\n", "OK 1\n"},
					     {"PAIR ", "OK 0\n"},
					     {"FIT ", "OK\n"},
					     {NULL, NULL}};

	serve(with);
	cr_expect_eq(jt_numbers_use(&n, 0, 0), 0);
	for (unsigned i = 0; i < 3; i++) {
		cr_expect_eq(jt_numbers_use(&n, 1, 2), 0);
		cr_expect_eq(jt_numbers_use(&n, 2, 1), 0);
		cr_expect_eq(jt_numbers_use(&n, 0, 2), 0);
	}
	n.room.tokens = 5;
	n.room.values = 6;
	n.room.owner_bytes = 7;
	cr_expect_eq(jt_numbers_fit(&n, "nothing was changed"), 0);
	cr_expect_str_eq(asked(), "PAIR 0 1 2\nPAIR 0 2 1\nPAIR 0 0 2\n"
				  "FIT 0 5 6 2 7\n");
}

Test(numbers, keeper_that_is_full_is_told_with_its_own_words)
{
	static const struct answer with[] = {
		{"FIT ", "ERR FULL no room for 7 more values\n"}, {NULL, NULL}};
	const char *said;

	serve(with);
	cr_expect_eq(jt_numbers_fit(&n, "nothing was changed"), JT_EXIT_NO);
	said = help_said();
	cr_expect_not_null(strstr(said, "nothing was changed"), "%s", said);
	cr_expect_not_null(strstr(said, "no room for 7 more values"), "%s",
			   said);
}

Test(numbers, keeper_that_is_red_changes_nothing)
{
	static const struct answer with[] = {{"", "ERR RED the disk\n"},
					     {NULL, NULL}};
	struct jt_limit l = limit("5/s", NULL);
	uint16_t number;

	serve(with);
	cr_expect_eq(jt_numbers_limit(&n, &l, &number), JT_EXIT_SIDECAR);
	cr_expect_eq(jt_numbers_plan(&n, "gold", &number), JT_EXIT_SIDECAR);
	cr_expect_eq(jt_numbers_scopes(&n, "a", &number), JT_EXIT_SIDECAR);
	cr_expect_eq(jt_numbers_use(&n, 1, 1), JT_EXIT_SIDECAR);
	cr_expect_eq(jt_numbers_fit(&n, "nothing was changed"),
		     JT_EXIT_SIDECAR);
	cr_expect_eq(n.n_made, 0);
	cr_expect_null(n.catalog);
}

Test(numbers, keeper_that_answers_nonsense_changes_nothing)
{
	static const struct answer with[] = {{"LIMIT ", "OK 70000 1\n"},
					     {NULL, NULL}};
	struct jt_limit l = limit("5/s", NULL);
	uint16_t number;

	serve(with);
	cr_expect_eq(jt_numbers_limit(&n, &l, &number), JT_EXIT_SIDECAR);
	/* and the connection is over */
	cr_expect_eq(jt_numbers_plan(&n, "gold", &number), JT_EXIT_SIDECAR);
}
