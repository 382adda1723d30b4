/* growth: a larger table says what the smaller one said, at every moment. */
#include "sidecar/growth.h"

#include "shm/pages.h"
#include "sidecar/crossing.h"
#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAPACITY 64u
#define MOST 4096u
#define TOKENS 60u /* of 64: one more, and it grows */
#define S 1000000000ull

static struct jt_segment_fds fds;
static struct jt_maps maps, old_view, new_view;
static struct jt_ledger l;
static struct jt_growth g;
static struct help_token tokens[TOKENS];
static struct jt_record records[TOKENS];
static uint64_t number, now_ns, memory;

static uint64_t clock_ns(void)
{
	return now_ns += JT_GROWTH_SLICE_NS; /* a step a slice */
}

static uint64_t memory_left(void)
{
	return memory;
}

static void must(struct jt_record r)
{
	int rc;

	r.number = ++number;
	rc = jt_ledger_apply(&l, &r);
	cr_assert_eq(rc, 0, "record %lu: %d", number, rc);
}

static void start(void)
{
	const struct jt_segment_size size = {
		.capacity = CAPACITY,
		.lines_max = MOST,
		.pool_bytes = jt_segment_pool(CAPACITY),
		.prefix = "jt",
	};
	const uint8_t id[16] = "growing";

	help_quiet();
	cr_assert(sodium_init() >= 0);
	cr_assert_eq(jt_segment_create(&size, id, &fds, &maps), 0);
	cr_assert_eq(jt_segment_map(&fds, &old_view), 0);
	cr_assert_eq(jt_ledger_init(&l, &maps), 0);
	jt_growth_init(&g, &maps, &l, fds.meters, UINT32_MAX, clock_ns,
		       memory_left);
	jt_store_seq(&maps.identity_rw->state, JT_IDENTITY_SERVING);
	l.now = help_now();
	memory = 1ull << 40;
	must(help_plan_record(1, "gold", 10, 10));
	must(help_scope_record(1, "orders:read"));
	must(help_set_record(1, 1, 1));
	for (unsigned i = 0; i < TOKENS; i++) {
		help_token_make(&tokens[i], "live");
		records[i] = help_create(&tokens[i]);
		memcpy(records[i].token.owner, "somebody", 8);
		records[i].token.plan = i % 2;
		records[i].token.scope_set = i % 3 == 0;
		must(records[i]);
	}
}

TestSuite(growth, .init = start);

static struct help_token *one_more(void)
{
	static struct help_token token;

	help_token_make(&token, "live");
	must(help_create(&token));
	return &token;
}

/* Until that phase, or the end of a growth. */
static void until(enum jt_growth_phase phase)
{
	for (unsigned i = 0; i < 10000 && g.phase != phase; i++) {
		now_ns += S / 1000;
		cr_assert_neq(jt_growth_tend(&g, now_ns, false),
			      JT_GROWTH_FAILED);
		if (g.phase == JT_GROWTH_CROSS && phase != JT_GROWTH_CROSS)
			now_ns += JT_GROWTH_CROSS_NS;
	}
	cr_assert_eq(g.phase, phase);
	if (phase == JT_GROWTH_CROSS)
		cr_assert_eq(jt_segment_follow(g.fd, &old_view, &new_view), 0);
}

static struct jt_verdict ask(const struct jt_maps *view,
			     const struct help_token *token)
{
	struct jt_ask a = help_ask(token);
	struct jt_tally tally = {0};
	struct jt_verdict v;

	a.cost = 0;
	jt_verify(view, NULL, &a, &v, 1, help_now(), &tally);
	return v;
}

static enum jt_word word(const struct jt_maps *view,
			 const struct help_token *token)
{
	return ask(view, token).word;
}

/* In the old one and in the new one, which is still the twin before CROSS. */
static void expect_both(const struct help_token *token, enum jt_word want)
{
	enum jt_word in_old = word(&old_view, token);
	enum jt_word in_new =
		word(g.phase == JT_GROWTH_CROSS ? &new_view : &g.other, token);

	cr_expect_eq(in_old, want, "%s", jt_word_name(in_old));
	cr_expect_eq(in_new, want, "%s", jt_word_name(in_new));
}

static void change(unsigned i, uint8_t type)
{
	records[i].type = type;
	must(records[i]);
}

/* ---- what it is when it is over ---- */

Test(growth, does_not_begin_before_it_is_nearly_full)
{
	cr_expect_eq(jt_growth_tend(&g, now_ns, true), JT_GROWTH_GOES_ON);
	cr_expect_eq(g.phase, JT_GROWTH_NONE);
	one_more();
	jt_growth_tend(&g, now_ns, true);
	cr_expect_eq(g.phase, JT_GROWTH_IDENTITY);
}

Test(growth, doubles_and_says_of_every_token_what_was_said_before)
{
	struct jt_verdict before[TOKENS];
	struct help_token was = tokens[3];

	help_rotate(&records[3], &tokens[3], HELP_NOW_S + 3600);
	must(records[3]);
	change(4, JT_REC_REVOKE);
	records[5].token.flags = JT_TOKEN_SUSPENDED;
	change(5, JT_REC_SUSPEND);
	for (unsigned i = 0; i < TOKENS; i++)
		before[i] = ask(&old_view, &tokens[i]);
	one_more();
	until(JT_GROWTH_CROSS);
	cr_expect_eq(maps.capacity, 2 * CAPACITY);
	for (unsigned i = 0; i < TOKENS; i++) {
		struct jt_verdict v = ask(&new_view, &tokens[i]);

		cr_expect_eq(v.word, before[i].word, "%u", i);
		cr_expect_eq(v.limit, before[i].limit);
		cr_expect_eq(v.expires_in_s, before[i].expires_in_s);
		cr_expect_eq(v.scopes != NULL, before[i].scopes != NULL);
		cr_expect_eq(v.owner.bytes, 8);
		cr_expect_eq(memcmp(v.owner.at, "somebody", 8), 0);
	}
	cr_expect_eq(word(&new_view, &was), JT_VALID, "the value before");
	cr_expect_eq(ask(&new_view, &was).notes & JT_NOTE_OLD_VALUE,
		     JT_NOTE_OLD_VALUE);
}

Test(growth, keeps_the_meter_line_of_every_token_where_it_is)
{
	struct jt_verdict v;
	struct jt_tally tally = {0};
	struct jt_ask a = help_ask(&tokens[1]);

	a.cost = 7;
	jt_verify(&old_view, NULL, &a, &v, 1, help_now(), &tally);
	cr_assert_eq(v.word, JT_VALID);
	one_more();
	until(JT_GROWTH_CROSS);
	a.cost = 4;
	jt_verify(&new_view, NULL, &a, &v, 1, help_now(), &tally);
	cr_expect_eq(v.word, JT_RATE_LIMITED, "7 of 10 are spent");
	a.cost = 3;
	jt_verify(&old_view, NULL, &a, &v, 1, help_now(), &tally);
	cr_expect_eq(v.word, JT_VALID);
	jt_verify(&new_view, NULL, &a, &v, 1, help_now(), &tally);
	cr_expect_eq(v.word, JT_RATE_LIMITED);
	cr_expect_eq(new_view.lines, old_view.lines);
}

Test(growth, twice_and_thrice_ends_with_a_table_that_takes_more)
{
	struct help_token late[400];

	for (unsigned i = 0; i < 400; i++) {
		const struct jt_room one = {1, 1, 0, 0};
		struct jt_fault fault;

		for (unsigned k = 0; jt_ledger_fits(&l, &one, &fault); k++) {
			cr_assert_lt(k, 100000);
			cr_assert(jt_growth_want(&g, &one, &fault));
			now_ns += S / 1000;
			jt_growth_tend(&g, now_ns, true);
		}
		help_token_make(&late[i], "live");
		must(help_create(&late[i]));
		jt_growth_tend(&g, now_ns, true);
	}
	cr_expect_geq(maps.capacity, 8 * CAPACITY);
	cr_expect_geq(g.n_done, 3);
	for (unsigned i = 0; i < TOKENS; i++)
		cr_expect_eq(word(&maps, &tokens[i]), JT_VALID);
	for (unsigned i = 0; i < 400; i++)
		cr_expect_eq(word(&maps, &late[i]), JT_VALID);
	cr_expect_eq(maps.identity->tokens, TOKENS + 400);
	cr_expect_eq(maps.identity->used, TOKENS + 400);
}

/* ---- changes in the middle ---- */

static void expect_changes_in_both(enum jt_growth_phase phase)
{
	struct help_token was, *late;

	one_more();
	until(phase);
	change(7, JT_REC_REVOKE);
	expect_both(&tokens[7], JT_REVOKED);
	was = tokens[9];
	help_rotate(&records[9], &tokens[9], 0);
	must(records[9]);
	expect_both(&was, JT_REVOKED);
	expect_both(&tokens[9], JT_VALID);
	records[10].token.flags = JT_TOKEN_SUSPENDED;
	change(10, JT_REC_SUSPEND);
	expect_both(&tokens[10], JT_SUSPENDED);
	late = one_more();
	expect_both(late, JT_VALID);
	must(help_as(help_create(late), JT_REC_REVOKE));
	expect_both(late, JT_REVOKED);
	must(help_as(records[7], JT_REC_PURGE));
	expect_both(&tokens[7], JT_UNKNOWN);
	must(help_plan_record(1, "gold", 20, 20));
	records[11].token.plan = 1;
	change(11, JT_REC_SET);
	cr_expect_eq(ask(&old_view, &tokens[11]).limit, 20);
	cr_expect_eq(ask(phase == JT_GROWTH_CROSS ? &new_view : &g.other,
			 &tokens[11])
			     .limit,
		     20);
	jt_table_set_applied(&maps, number);
	cr_expect_eq(old_view.identity->applied, number);
}

/* The copy of values is cut: what it has not reached is not in the new one. */
Test(growth, change_after_the_copy_is_in_both_tables)
{
	expect_changes_in_both(JT_GROWTH_CROSS);
}

static void expect_right_in_the_end(enum jt_growth_phase phase)
{
	struct help_token was, *late;

	one_more();
	until(phase);
	change(7, JT_REC_REVOKE);
	was = tokens[9];
	help_rotate(&records[9], &tokens[9], 0);
	must(records[9]);
	must(help_as(records[12], JT_REC_PURGE));
	late = one_more();
	until(JT_GROWTH_CROSS);
	expect_both(&tokens[7], JT_REVOKED);
	expect_both(&was, JT_REVOKED);
	expect_both(&tokens[9], JT_VALID);
	expect_both(&tokens[12], JT_UNKNOWN);
	expect_both(late, JT_VALID);
	cr_expect_eq(maps.identity->used, old_view.identity->used);
	cr_expect_eq(maps.identity->tokens, old_view.identity->tokens);
}

Test(growth, change_while_memory_is_taken_is_in_the_new_table)
{
	expect_right_in_the_end(JT_GROWTH_IDENTITY);
}

Test(growth, change_while_names_are_copied_is_in_the_new_table)
{
	expect_right_in_the_end(JT_GROWTH_POOL);
}

Test(growth, change_while_values_are_copied_is_in_the_new_table)
{
	expect_right_in_the_end(JT_GROWTH_SLOTS);
}

/* ---- the end of the old one ---- */

Test(growth, old_table_says_nothing_once_a_change_is_made_without_it)
{
	struct help_token late[CAPACITY];

	one_more();
	until(JT_GROWTH_CROSS);
	for (unsigned i = 0; i < CAPACITY; i++) {
		bool retired;

		help_token_make(&late[i], "live");
		must(help_create(&late[i]));
		retired = word(&old_view, &late[i]) == JT_LOADING;
		cr_expect_eq(word(&new_view, &late[i]), JT_VALID);
		cr_expect(retired || word(&old_view, &late[i]) == JT_VALID);
		cr_expect_eq(retired, maps.twin == NULL);
	}
	cr_expect_null(maps.twin);
	cr_expect_eq(word(&old_view, &tokens[0]), JT_LOADING);
}

Test(growth, name_that_the_old_pool_cannot_take_retires_it)
{
	const struct jt_room want = {.owner_bytes = 64000};
	struct jt_fault fault;
	uint8_t name[200] = "somebody else";
	uint32_t offset = 0;

	cr_assert(jt_growth_want(&g, &want, &fault), "names alone");
	until(JT_GROWTH_CROSS);
	cr_expect_eq(maps.capacity, CAPACITY);
	while (maps.twin) {
		cr_expect_eq(old_view.identity->state, JT_IDENTITY_SERVING);
		cr_expect_leq(offset + 201, old_view.pool_bytes);
		cr_assert_eq(jt_table_put_owner(&maps, name, 200, &offset), 0);
	}
	cr_expect_gt(offset + 201, old_view.pool_bytes);
	cr_expect_eq(old_view.identity->state, JT_IDENTITY_RETIRED);
}

Test(growth, retires_the_old_table_when_all_have_gone_over)
{
	one_more();
	until(JT_GROWTH_CROSS);
	cr_expect_eq(jt_growth_tend(&g, now_ns, false), JT_GROWTH_GOES_ON);
	cr_expect_eq(old_view.identity->state, JT_IDENTITY_SERVING);
	cr_expect_eq(old_view.identity->offered, 2);
	cr_expect_eq(jt_growth_tend(&g, now_ns, true), JT_GROWTH_DONE);
	cr_expect_eq(old_view.identity->state, JT_IDENTITY_RETIRED);
	cr_expect_null(maps.twin);
}

Test(growth, does_not_wait_for_ever_for_a_worker_that_stands_still)
{
	one_more();
	until(JT_GROWTH_CROSS);
	cr_expect_eq(jt_growth_tend(&g, now_ns, false), JT_GROWTH_GOES_ON);
	now_ns += JT_GROWTH_CROSS_NS;
	cr_expect_eq(jt_growth_tend(&g, now_ns, false), JT_GROWTH_DONE);
	cr_expect_eq(old_view.identity->state, JT_IDENTITY_RETIRED);
}

Test(growth, daemon_that_ends_in_the_middle_leaves_no_table_believed)
{
	one_more();
	until(JT_GROWTH_CROSS);
	jt_growth_stop(&g);
	cr_expect_eq(word(&old_view, &tokens[0]), JT_LOADING);
}

/* ---- refusals ---- */

Test(growth, without_memory_is_refused_and_the_table_serves_on)
{
	const struct jt_room want = {1000, 1000, 0, 0};
	struct jt_fault fault;
	struct stat before, after;

	fstat(fds.meters, &before);
	memory = 1 << 20;
	one_more();
	cr_expect_eq(jt_growth_tend(&g, now_ns, true), JT_GROWTH_FAILED);
	cr_expect_eq(g.phase, JT_GROWTH_NONE);
	cr_expect_not_null(strstr(g.why, "not enough memory"));
	cr_expect_eq(word(&old_view, &tokens[0]), JT_VALID);
	cr_expect_not(jt_growth_want(&g, &want, &fault));
	cr_expect_not_null(strstr(fault.line, "not enough memory"), "%s",
			   fault.line);
	fstat(fds.meters, &after);
	cr_expect_eq(before.st_blocks, after.st_blocks);
	/* not in a loop, but again */
	cr_expect_eq(jt_growth_tend(&g, now_ns, true), JT_GROWTH_GOES_ON);
	memory = 1ull << 40;
	now_ns += JT_GROWTH_RETRY_NS;
	until(JT_GROWTH_CROSS);
	cr_expect_eq(jt_growth_tend(&g, now_ns, true), JT_GROWTH_DONE);
	cr_expect_eq(g.why[0], '\0');
}

Test(growth, memory_that_others_take_in_the_middle_ends_it)
{
	const struct jt_room want = {1000, 1000, 0, 0};
	size_t large = maps.meters_large_bytes;
	struct jt_fault fault;
	struct stat before, after;

	fstat(fds.meters, &before);
	cr_assert(jt_growth_want(&g, &want, &fault));
	until(JT_GROWTH_LINES);
	maps.meters_large_bytes += JT_PAGES_LARGE; /* as a step might find */
	memory = 1 << 20;
	now_ns += S;
	cr_expect_eq(jt_growth_tend(&g, now_ns, true), JT_GROWTH_FAILED);
	cr_expect_not_null(strstr(g.why, "not enough memory"), "%s", g.why);
	cr_expect_eq(maps.meters_large_bytes, large, "they were given back");
	cr_expect_null(maps.twin);
	cr_expect_eq(word(&old_view, &tokens[0]), JT_VALID);
	fstat(fds.meters, &after);
	cr_expect_eq(before.st_blocks, after.st_blocks);
}

Test(growth, goes_as_far_as_there_are_lines_and_then_says_so)
{
	const struct jt_room most = {MOST - TOKENS, MOST - TOKENS, 0, 0};
	const struct jt_room more = {MOST - TOKENS + 1, 1, 0, 0};
	struct jt_fault fault;

	cr_expect_not(jt_growth_want(&g, &more, &fault));
	cr_expect_not_null(strstr(fault.line, "--capacity-max"), "%s",
			   fault.line);
	cr_expect_eq(g.phase, JT_GROWTH_NONE);
	cr_expect(jt_growth_want(&g, &most, &fault));
	until(JT_GROWTH_CROSS);
	cr_expect_eq(maps.capacity, MOST);
	cr_expect_eq(jt_growth_tend(&g, now_ns, true), JT_GROWTH_DONE);
	cr_expect_eq(jt_ledger_fits(&l, &most, &fault), 0);
	cr_expect_eq(jt_ledger_fits(&l, &more, &fault), JT_TABLE_E_FULL);
}

/* ---- size ---- */

Test(growth, a_token_takes_at_most_175_bytes_at_full_load)
{
	struct jt_segment_size size = {.capacity = 1000000};

	size.pool_bytes = jt_segment_pool(size.capacity);
	cr_expect_leq(jt_segment_bytes(&size) / size.capacity, 165);
	size.capacity = 100000000;
	size.pool_bytes = jt_segment_pool(size.capacity);
	cr_expect_leq(jt_segment_bytes(&size) / size.capacity, 162);
}

/* ---- over ---- */

static struct jt_maps mine;
static struct jt_crossing crossing;
static int ends[2];

static void begin_crossing(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	cr_assert_eq(jt_segment_map(&fds, &mine), 0);
	jt_crossing_init(&crossing, ends[1], &mine, &mine.board[0]);
	jt_store_seq(&mine.board[0].table, 1);
}

static bool goes_over(void)
{
	for (unsigned i = 0; i < 1000; i++)
		if (jt_crossing_look(&crossing))
			return true;
	return false;
}

Test(growth, worker_goes_over_and_says_so)
{
	const struct jt_meter *lines;

	begin_crossing();
	lines = mine.lines;
	one_more();
	until(JT_GROWTH_CROSS);
	cr_expect_not(goes_over(), "nothing was sent yet");
	cr_assert_eq(jt_crossing_send(ends[0], g.fd, 2), 0);
	cr_expect(goes_over());
	cr_expect_eq(mine.identity->number, 2);
	cr_expect_eq(mine.capacity, 2 * CAPACITY);
	cr_expect_eq(mine.lines, lines, "the same map of the same meters");
	cr_expect_eq(maps.board[0].table, 2);
	cr_expect_eq(word(&mine, &tokens[0]), JT_VALID);
	for (unsigned i = 0; i < 1000 && jt_crossing_busy(&crossing); i++)
		cr_expect_not(jt_crossing_look(&crossing));
	cr_expect_not(jt_crossing_busy(&crossing), "the old one is unmapped");
}

Test(growth, worker_goes_over_at_once_when_the_old_table_is_retired)
{
	begin_crossing();
	one_more();
	until(JT_GROWTH_CROSS);
	cr_assert_eq(jt_crossing_send(ends[0], g.fd, 2), 0);
	jt_table_part(&maps);
	cr_expect_eq(word(&mine, &tokens[0]), JT_LOADING);
	cr_expect(jt_crossing_look(&crossing));
	cr_expect_eq(word(&mine, &tokens[0]), JT_VALID);
}

Test(growth, worker_whose_next_table_does_not_come_knows_it)
{
	int zero = open("/dev/zero", O_RDONLY);

	begin_crossing();
	one_more();
	until(JT_GROWTH_CROSS);
	cr_assert_eq(jt_crossing_send(ends[0], zero, 2), 0);
	cr_expect_not(goes_over());
	cr_expect_not(jt_crossing_is_lost(&crossing), "the old one holds");
	jt_table_part(&maps);
	cr_expect_not(goes_over());
	cr_expect(jt_crossing_is_lost(&crossing));
	cr_assert_eq(jt_crossing_send(ends[0], g.fd, 2), 0);
	cr_expect(goes_over());
	cr_expect_not(jt_crossing_is_lost(&crossing));
	jt_store_seq(&maps.identity_rw->state, JT_IDENTITY_RETIRED);
	cr_expect_not(jt_crossing_is_lost(&crossing), "the daemon ends");
}

Test(growth, worker_takes_no_table_that_is_not_the_next_one)
{
	int zero = open("/dev/zero", O_RDONLY);

	begin_crossing();
	one_more();
	until(JT_GROWTH_CROSS);
	cr_assert_eq(jt_crossing_send(ends[0], fds.identity, 2), 0);
	cr_assert_eq(jt_crossing_send(ends[0], fds.meters, 2), 0);
	cr_assert_eq(jt_crossing_send(ends[0], zero, 2), 0);
	cr_assert_eq(send(ends[0], "12345678", 8, 0), 8);
	cr_expect_not(goes_over());
	cr_expect_eq(mine.identity->number, 1);
	cr_assert_eq(jt_crossing_send(ends[0], g.fd, 2), 0);
	cr_expect(goes_over());
	/* and not back */
	cr_expect_eq(jt_segment_follow(fds.identity, &mine, &new_view),
		     -ESTALE);
}
