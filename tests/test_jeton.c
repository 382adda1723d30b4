/*
 * jeton: the library on made-up segments. A thread plays the keeper; with BEATS
 * it renews the lease, too.
 */
#include "shm/jeton.h"

#include "sidecar/attach.h"
#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct help_table table, next;
static struct help_token token;
static struct jt_doors doors;
static struct jt_paths paths;
static struct jt_settings settings;
static struct jt_attaches a;
static _Atomic uint64_t over, beats;
static pthread_t keeper;
static char top[64];
static struct jeton *j;
static struct jeton_verdict v;

static uint64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void nap(void)
{
	const struct timespec ms = {.tv_nsec = 1000000};

	nanosleep(&ms, NULL);
}

static void *keep(void *unused)
{
	while (!jt_load_seq(&over)) {
		if (jt_load_seq(&beats))
			jt_attaches_run(&a, boot_ns(), true);
		nap();
	}
	return NULL;
}

static void begin(struct help_table *t)
{
	cr_assert_eq(jt_attaches_init(&a, &doors, &t->maps, &t->fds, &settings,
				      boot_ns()),
		     0);
	jt_store_seq(&over, 0);
	jt_store_seq(&beats, 1);
	cr_assert_eq(pthread_create(&keeper, NULL, keep, NULL), 0);
}

static void end(void)
{
	jt_store_seq(&over, 1);
	pthread_join(keeper, NULL);
}

/* Valid for a day by the real clock. */
static void issue(struct help_table *t, struct help_token *one, uint16_t plan)
{
	struct jt_entry e;

	if (!one->text[0])
		help_token_make(one, "live");
	e = help_entry(t, one);
	e.expires_s = (uint32_t)time(NULL) + 86400;
	e.plan = plan;
	help_put(t, one, &e);
}

static void setup(void)
{
	const struct jt_doors_want want = {.http_listen = ""};
	struct jt_fault fault = {0};

	help_quiet();
	help_dir(top);
	snprintf(paths.data, sizeof(paths.data), "%s/d", top);
	snprintf(paths.run, sizeof(paths.run), "%s/r", top);
	help_table_new(&table, 64);
	help_rate(&table, 1, 3600000000000ull, 3);
	issue(&table, &token, 1);
	jt_settings_default(&settings);
	cr_assert_eq(jt_doors_open(&doors, &paths, &want, &fault), 0, "%s",
		     fault.line);
	begin(&table);
}

static void teardown(void)
{
	end();
	jeton_detach(j);
}

TestSuite(jeton, .init = setup, .fini = teardown, .timeout = 30);

static void attach(unsigned flags)
{
	int rc = jeton_attach(paths.run, flags, &j);

	cr_assert_eq(rc, 0, "%s", jeton_strerror(rc));
}

static int ask(void)
{
	memset(&v, 0xee, sizeof(v));
	return jeton_verify(j, token.text, JT_TOKEN_BYTES, NULL, &v);
}

static void expect_denied(int rc)
{
	cr_expect_lt(rc, 0);
	cr_expect_eq(v.word, JETON_LOADING);
	cr_expect_eq(v.status, 503);
	cr_expect_eq(v.flags, 0);
	cr_expect_str_empty(v.id);
	cr_expect_eq(v.limit, -1);
}

/* ---- what it says ---- */

Test(jeton, tells_all_of_a_verdict)
{
	static const uint64_t zeros[8];

	attach(0);
	cr_assert_eq(ask(), 0);
	cr_expect_eq(v.word, JETON_VALID);
	cr_expect_eq(v.status, 200);
	cr_expect_eq(v.limit, 3);
	cr_expect_eq(v.remaining, 2);
	cr_expect_eq(v.missing, -1);
	cr_expect_leq(v.expires_in_s, 86400);
	cr_expect_geq(v.expires_in_s, 86390);
	cr_expect_eq(strlen(v.id), 24);
	cr_expect_eq(memcmp(v.id, token.text, 24), 0);
	cr_expect_arr_eq(v.reserved, zeros, sizeof(zeros));
}

Test(jeton, spends_in_the_shared_meters)
{
	attach(0);
	for (int i = 0; i < 3; i++) {
		ask();
		cr_expect_eq(v.word, JETON_VALID);
	}
	ask();
	cr_expect_eq(v.word, JETON_RATE_LIMITED);
	cr_expect_gt(v.retry_after_ms, 3500000);
	cr_expect_eq(jt_load_seq(&help_meter(&table, &token)->uses), 3);
	cr_expect_eq(jt_load_seq(&help_meter(&table, &token)->refusals), 1);
}

Test(jeton, state_is_looked_at_anew_in_each_call)
{
	attach(0);
	ask();
	cr_assert_eq(v.word, JETON_VALID);
	help_state(&table, &token, JT_SLOT_SUSPENDED);
	ask();
	cr_expect_eq(v.word, JETON_SUSPENDED);
	help_state(&table, &token, JT_SLOT_REVOKED);
	ask();
	cr_expect_eq(v.word, JETON_REVOKED);
}

static void expect_nothing_counted(void)
{
	struct jt_meter *m = help_meter(&table, &token);

	cr_expect_eq(jt_load_seq(&m->rate), 0);
	cr_expect_eq(jt_load_seq(&m->uses), 0);
	cr_expect_eq(jt_load_seq(&m->refusals), 0);
	cr_expect_eq(jt_load_seq(&m->last_use_s), 0);
}

static void look_often(void)
{
	struct jeton_options o = JETON_OPTIONS_INIT;

	o.cost = 3;
	for (int i = 0; i < 5; i++) {
		cr_expect_eq(
			jeton_verify(j, token.text, JT_TOKEN_BYTES, &o, &v), 0);
		cr_expect_eq(v.word, JETON_VALID);
		cr_expect_eq(v.flags, JETON_LOOKED);
		cr_expect_eq(v.remaining, 3);
	}
	help_state(&table, &token, JT_SLOT_REVOKED);
	ask();
	cr_expect_eq(v.word, JETON_REVOKED);
	expect_nothing_counted();
}

Test(jeton, who_wants_to_look_writes_nothing)
{
	attach(JETON_LOOK);
	look_often();
}

Test(jeton, who_may_only_look_writes_nothing_and_does_not_fault)
{
	end();
	settings.n_rules = 1;
	settings.rules[0] = (struct jt_rule){.name = "r",
					     .match = JT_RULE_ANYBODY,
					     .attach = JT_ATTACH_LOOK};
	begin(&table);
	attach(0);
	look_often();
}

Test(jeton, batch_is_in_order_over_all_group_bounds)
{
	static const size_t sizes[] = {1, 31, 32, 33, 63, 64, 65, 100};
	struct jeton_token asks[100];
	struct jeton_verdict got[100];

	attach(0);
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		for (size_t i = 0; i < sizes[k]; i++)
			asks[i] = (struct jeton_token){token.text, 64 - i % 3};
		memset(got, 0xee, sizeof(got));
		cr_expect_eq(jeton_verify_batch(j, sizes[k], asks, NULL, got),
			     0);
		for (size_t i = 0; i < sizes[k]; i++)
			cr_expect_eq(got[i].word == JETON_MALFORMED, i % 3 > 0,
				     "%zu of %zu", i, sizes[k]);
	}
	cr_expect_eq(jeton_verify_batch(j, 0, NULL, NULL, NULL), 0);
}

/* ---- arguments ---- */

static char longest[JETON_TOKEN_MAX + 1];

/* A value of another system, as long as they may be. */
static void issue_longest(void)
{
	struct jt_entry e = help_entry(&table, &token);
	struct help_token other = {0};

	memset(longest, 'x', sizeof(longest));
	e.scheme = JT_VALUE_SHA256;
	e.expires_s = (uint32_t)time(NULL) + 86400;
	crypto_hash_sha256(e.digest, (uint8_t *)longest, JETON_TOKEN_MAX);
	help_put(&table, &other, &e);
	jt_store_seq(&table.maps.identity_rw->schemes, 3);
}

Test(jeton, longest_value_is_not_the_beginning_of_a_longer_one)
{
	issue_longest();
	attach(0);
	cr_assert_eq(jeton_verify(j, longest, JETON_TOKEN_MAX, NULL, &v), 0);
	cr_expect_eq(v.word, JETON_VALID);
	for (unsigned beating = 2; beating-- > 0;) {
		cr_assert_eq(
			jeton_verify(j, longest, JETON_TOKEN_MAX + 1, NULL, &v),
			0);
		cr_expect_eq(v.word, JETON_MALFORMED);
		cr_expect_eq(v.status, 401);
		jt_store_seq(&beats, 0); /* by socket, from then on */
		jt_store_seq(&table.maps.identity_rw->lease_ns, 0);
	}
}

Test(jeton, no_token_is_missing_whatever_its_length_says)
{
	attach(0);
	cr_expect_eq(jeton_verify(j, NULL, 64, NULL, &v), 0);
	cr_expect_eq(v.word, JETON_MISSING);
	cr_expect_eq(jeton_verify(j, "", 0, NULL, &v), 0);
	cr_expect_eq(v.word, JETON_MISSING);
}

Test(jeton, bad_arguments_are_denied)
{
	struct jeton_options o = JETON_OPTIONS_INIT;

	attach(0);
	o.size = sizeof(o) - 1;
	expect_denied(jeton_verify(j, token.text, 64, &o, &v));
	o.size = sizeof(o);
	o.n_scopes = 1;
	expect_denied(jeton_verify(j, token.text, 64, &o, &v));
	o.scopes = (const char *const[]){NULL};
	expect_denied(jeton_verify(j, token.text, 64, &o, &v));
	expect_denied(jeton_verify(NULL, token.text, 64, NULL, &v));
	cr_expect_eq(jeton_verify(j, token.text, 64, NULL, NULL), -EINVAL);
	cr_expect_eq(jeton_attach(paths.run, 4, &j), -EINVAL);
	cr_expect_null(j);
	cr_expect_eq(jeton_attach(NULL, 0, NULL), -EINVAL);
	expect_nothing_counted();
}

/* As a later version's, with more at its end. */
Test(jeton, larger_options_are_taken)
{
	struct {
		struct jeton_options o;
		char more[32];
	} later = {.o = JETON_OPTIONS_INIT};

	attach(0);
	later.o.size = sizeof(later);
	cr_expect_eq(jeton_verify(j, token.text, 64, &later.o, &v), 0);
	cr_expect_eq(v.word, JETON_VALID);
}

Test(jeton, words_and_errors_have_names)
{
	cr_expect_str_eq(jeton_word(JETON_VALID), "VALID");
	cr_expect_str_eq(jeton_word(JETON_LOADING), "LOADING");
	cr_expect_str_eq(jeton_word(14), "?");
	cr_expect_str_eq(jeton_word(UINT32_MAX), "?");
	cr_expect_eq(jeton_status(JETON_RATE_LIMITED), 429);
	cr_expect_eq(jeton_status(14), 503, "no word is no permission");
	cr_expect_eq(jeton_api(), JETON_API);
	for (int e = -4095; e <= 4095; e++)
		cr_expect_gt(strlen(jeton_strerror(e)), 4);
	jeton_detach(NULL);
}

/* ---- whom it believes ---- */

/* The keeper says nothing more, not even to who attaches. */
static void fall_silent(void)
{
	jt_store_seq(&beats, 0);
	nap();
	nap();
}

Test(jeton, past_the_lease_nothing_is_valid)
{
	uint64_t until_ns;
	int rc;

	attach(0);
	cr_expect_eq(ask(), 0);
	fall_silent();
	until_ns = jt_load_seq(&table.maps.identity->lease_ns);
	while (boot_ns() < until_ns)
		nap();
	rc = ask();
	expect_denied(rc);
	cr_expect_eq(jt_load_seq(&help_meter(&table, &token)->uses), 1);
}

Test(jeton, lease_of_this_very_moment_is_over)
{
	attach(0);
	fall_silent();
	jt_store_seq(&table.maps.identity_rw->lease_ns, boot_ns());
	expect_denied(ask());
	jt_store_seq(&table.maps.identity_rw->lease_ns,
		     boot_ns() + 1000000000u);
	cr_expect_eq(ask(), 0);
	cr_expect_eq(v.word, JETON_VALID);
}

Test(jeton, lease_by_another_boot_clock_is_not_believed)
{
	_Atomic uint64_t *lease = &table.maps.identity_rw->lease_ns;

	/* so far off that it stays so, however long we get no turn */
	jt_store_seq(lease, boot_ns() + 40 * JT_LEASE_NS);
	cr_expect_eq(jeton_attach(paths.run, 0, &j), -EPROTO);
	cr_expect_null(j);
	jt_store_seq(lease, 0);
	attach(0);
	/* the keeper's thread may get none for a whole lease */
	for (unsigned i = 0; i < 10000 && ask() != 0; i++)
		nap();
	cr_expect_eq(v.word, JETON_VALID);
}

Test(jeton, loading_and_retired_segments_are_not_believed)
{
	attach(0);
	fall_silent();
	jt_store_seq(&table.maps.identity_rw->lease_ns,
		     boot_ns() + 10000000000u);
	jt_store_seq(&table.maps.identity_rw->state, JT_IDENTITY_RETIRED);
	expect_denied(ask());
	jt_store_seq(&table.maps.identity_rw->state, JT_IDENTITY_LOADING);
	expect_denied(ask());
	jt_store_seq(&table.maps.identity_rw->state, 77);
	expect_denied(ask());
	jt_store_seq(&table.maps.identity_rw->state, JT_IDENTITY_SERVING);
	cr_expect_eq(ask(), 0);
}

Test(jeton, newer_segments_are_found)
{
	int rc = 0;

	attach(0);
	cr_expect_eq(ask(), 0);
	end();
	jt_store_seq(&table.maps.identity_rw->state, JT_IDENTITY_RETIRED);
	help_table_new(&next, 4096);
	issue(&next, &token, 0);
	begin(&next);
	for (int i = 0; i < 2000 && (rc = ask()); i++)
		nap();
	cr_expect_eq(rc, 0);
	cr_expect_eq(v.word, JETON_VALID);
	cr_expect_eq(v.limit, -1, "it is the new one's");
}

Test(jeton, batch_is_denied_to_its_end)
{
	struct jeton_token asks[70];
	struct jeton_verdict got[70];

	attach(0);
	fall_silent();
	jt_store_seq(&table.maps.identity_rw->lease_ns, 0);
	for (size_t i = 0; i < 70; i++)
		asks[i] = (struct jeton_token){token.text, 64};
	memset(got, 0xee, sizeof(got));
	cr_expect_lt(jeton_verify_batch(j, 70, asks, NULL, got), 0);
	for (size_t i = 0; i < 70; i++)
		cr_expect_eq(got[i].word, JETON_LOADING, "%zu", i);
}

/* ---- attaching ---- */

Test(jeton, attaching_fails_where_nobody_is)
{
	char other[80];

	snprintf(other, sizeof(other), "%s/nowhere", top);
	cr_expect_eq(jeton_attach(other, 0, &j), -ENOENT);
	cr_expect_null(j);
	cr_expect_eq(jeton_attach(other, JETON_ANYHOW, &j), 0);
	expect_denied(ask());
}

Test(jeton, run_directory_that_is_too_long_is_refused)
{
	char other[200];

	memset(other, 'x', sizeof(other));
	other[199] = '\0';
	cr_expect_eq(jeton_attach(other, JETON_ANYHOW, &j), -ENAMETOOLONG);
	cr_expect_null(j);
	cr_expect_eq(jeton_attach("", 0, &j), -EINVAL);
}

Test(jeton, keeper_that_says_nothing_is_waited_for_two_seconds_at_most)
{
	uint64_t began_ns = boot_ns();

	fall_silent();
	cr_expect_eq(jeton_attach(paths.run, 0, &j), -ETIME);
	cr_expect_lt(boot_ns() - began_ns, 4000000000u);
	cr_expect_gt(boot_ns() - began_ns, 1500000000u);
}

Test(jeton, a_call_does_not_wait_for_a_silent_keeper)
{
	uint64_t began_ns;

	attach(0);
	fall_silent();
	jt_store_seq(&table.maps.identity_rw->lease_ns, 0);
	began_ns = boot_ns();
	for (int i = 0; i < 3; i++)
		expect_denied(ask());
	/* each asks at the socket, where nobody answers */
	cr_expect_lt(boot_ns() - began_ns,
		     3u * 2 * JETON_PATIENCE_MS * 1000000);
}

Test(jeton, child_cannot_use_the_handle)
{
	int status = 0;
	pid_t pid;

	attach(0);
	cr_expect_eq(ask(), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		int rc = ask();
		bool ok = rc == -ECHILD && v.word == JETON_LOADING;

		jeton_detach(j);
		_exit(ok ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	cr_expect_eq(ask(), 0);
}
