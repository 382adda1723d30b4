/* estate: each token finds its meter line again, whoever follows. */
#include "sidecar/estate.h"

#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define N 40u

static struct help_table old, new;
static struct jt_ledger left, heir;
static struct help_token tokens[N];
static struct jt_record records[N];
static uint64_t number;

static void must(struct jt_ledger *l, struct jt_record r)
{
	r.number = ++number;
	cr_assert_eq(jt_ledger_apply(l, &r), 0);
}

static void start(void)
{
	help_table_new(&old, 4096);
	help_table_new(&new, 4096);
	new.maps.identity_rw->seed = old.maps.identity->seed;
	cr_assert_eq(jt_ledger_init(&left, &old.maps), 0);
	cr_assert_eq(jt_ledger_init(&heir, &new.maps), 0);
	left.now = heir.now = help_now();
	for (unsigned i = 0; i < N; i++) {
		help_token_make(&tokens[i], "live");
		records[i] = help_create(&tokens[i]);
	}
}

static void stop(void)
{
	jt_ledger_deinit(&left);
	jt_ledger_deinit(&heir);
}

TestSuite(estate, .init = start, .fini = stop);

static uint32_t line_of(const struct jt_ledger *l, unsigned i)
{
	return jt_ledger_find(l, records[i].token.id);
}

/* What a request of that token would count on. */
static struct jt_meter *meter_of(const struct help_table *t, unsigned i)
{
	struct jt_view view;

	cr_assert(help_find(&t->reader, &tokens[i], &view));
	return &t->maps.lines[jt_b_meter(view.b)];
}

/* The older one had them in their order, each with uses of its own. */
static void fill_old(void)
{
	for (unsigned i = 0; i < N; i++) {
		must(&left, records[i]);
		jt_store_relaxed(&meter_of(&old, i)->uses, 1000 + i);
	}
}

static void fill_new_backwards(unsigned from)
{
	for (unsigned i = N; i > from; i--)
		must(&heir, records[i - 1]);
}

static void hand_over(bool shared)
{
	int fd = jt_estate_write(&left);

	cr_assert_geq(fd, 0);
	cr_assert_eq(jt_estate_take(&heir, fd, shared), 0);
	close(fd);
}

Test(estate, each_token_gets_the_line_that_it_had)
{
	fill_old();
	fill_new_backwards(0);
	cr_assert_neq(line_of(&left, 0), line_of(&heir, 0));
	hand_over(true);
	for (unsigned i = 0; i < N; i++)
		cr_expect_eq(line_of(&left, i), line_of(&heir, i), "%u", i);
}

Test(estate, figures_are_copied_where_the_meters_are_not_shared)
{
	fill_old();
	fill_new_backwards(0);
	hand_over(false);
	for (unsigned i = 0; i < N; i++)
		cr_expect_eq(jt_load_relaxed(&meter_of(&new, i)->uses),
			     1000 + i, "%u", i);
}

Test(estate, both_values_of_a_rotated_token_go_along)
{
	struct help_token second;
	struct jt_record r;

	fill_old();
	fill_new_backwards(0);
	r = records[3];
	help_rotate(&r, &second, HELP_LATER_S);
	must(&left, r);
	number--;
	must(&heir, r);
	hand_over(true);
	tokens[4] = second;
	cr_expect_eq(jt_load_relaxed(&meter_of(&new, 3)->uses), 0, "its own");
	cr_expect_eq(meter_of(&new, 3) - new.maps.lines, line_of(&left, 3));
	cr_expect_eq(meter_of(&new, 4) - new.maps.lines, line_of(&left, 3));
}

Test(estate, one_that_came_later_is_on_no_line_that_the_older_one_gives)
{
	uint32_t theirs, ours;

	for (unsigned i = 0; i < N - 1; i++)
		must(&left, records[i]);
	fill_new_backwards(0);
	hand_over(true);
	must(&left, records[N - 1]);
	theirs = line_of(&left, N - 1);
	ours = line_of(&heir, N - 1);
	cr_expect_neq(theirs, ours);
	for (unsigned i = 0; i < N - 1; i++) {
		cr_expect_neq(line_of(&left, i), ours);
		cr_expect_neq(line_of(&heir, i), theirs);
	}
}

static void purge(struct jt_ledger *l, unsigned i)
{
	struct jt_record r = records[i];

	r.type = JT_REC_PURGE;
	must(l, r);
}

Test(estate, a_line_is_given_to_nobody_else_while_both_are_there)
{
	uint32_t line;

	for (unsigned i = 0; i < N - 1; i++)
		must(&left, records[i]);
	for (unsigned i = 0; i < N - 1; i++)
		must(&heir, records[i]);
	hand_over(true);
	jt_store_relaxed(&new.maps.identity_rw->state, JT_IDENTITY_SERVING);
	jt_store_relaxed(&old.maps.identity_rw->state, JT_IDENTITY_SERVING);
	line = line_of(&heir, 5);
	purge(&left, 5);
	purge(&heir, 5);
	jt_ledger_tidy(&heir, 0);
	must(&heir, records[N - 1]);
	cr_expect_neq(line_of(&heir, N - 1), line);
	purge(&heir, N - 1);
	jt_estate_release(&heir);
	jt_ledger_tidy(&heir, 0);
	cr_expect_gt(heir.n_free, 0, "it rests, but not for ever");
}

static void serve(void)
{
	jt_store_relaxed(&new.maps.identity_rw->state, JT_IDENTITY_SERVING);
	jt_store_relaxed(&old.maps.identity_rw->state, JT_IDENTITY_SERVING);
}

/* Both have the same meters; here each table has its own, so of one line. */
static void count_on(struct help_table *t, uint32_t line)
{
	jt_store_relaxed(&t->maps.lines[line].uses, 77);
	jt_store_relaxed(&t->maps.lines[line].rate, UINT64_MAX);
}

/* Gives lines to new tokens until there are none; MARKS: those. */
static unsigned fill_up(struct jt_ledger *l, uint8_t *marks, unsigned most)
{
	struct help_token token;
	unsigned n;

	for (n = 0; n < most; n++) {
		help_token_make(&token, "live");
		records[0] = help_create(&token);
		records[0].number = ++number;
		if (jt_ledger_apply(l, &records[0]))
			break;
		marks[line_of(l, 0)]++;
	}
	return n;
}

Test(estate, no_line_is_given_by_both_however_many_tokens_come)
{
	static uint8_t marks[4096];
	static struct jt_record created[JT_ESTATE_SPARE + 200];
	const size_t n = sizeof(created) / sizeof(created[0]);
	struct help_token token;

	fill_old();
	/* also with more unused lines than the older one keeps */
	jt_store_relaxed(&old.maps.identity_rw->state, JT_IDENTITY_LOADING);
	for (size_t i = 0; i < n; i++) {
		help_token_make(&token, "live");
		created[i] = help_create(&token);
		must(&left, created[i]);
	}
	for (size_t i = 0; i < n; i++) {
		created[i].type = JT_REC_PURGE;
		must(&left, created[i]);
	}
	fill_new_backwards(0);
	hand_over(true);
	serve();
	cr_expect_eq(fill_up(&left, marks, 4096), JT_ESTATE_SPARE);
	cr_expect_gt(fill_up(&heir, marks, 1000), 999);
	for (unsigned i = 0; i < 4096; i++)
		cr_assert_leq(marks[i], 1, "line %u", i);
}

/* What the newer one gave to tokens of its own before it died. */
Test(estate, who_takes_back_finds_no_figures_of_the_one_that_died)
{
	static struct help_token more[2 * JT_ESTATE_SPARE];
	uint32_t end;

	fill_old();
	hand_over(true);
	serve();
	end = heir.n_lines;
	for (uint32_t i = left.n_lines; i < 4096; i++)
		count_on(&old, i);
	jt_estate_release(&left);
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		uint32_t line;

		help_token_make(&more[i], "live");
		records[0] = help_create(&more[i]);
		must(&left, records[0]);
		line = line_of(&left, 0);
		cr_assert_eq(jt_load_relaxed(&old.maps.lines[line].uses), 0,
			     "line %u", line);
		cr_assert_eq(jt_load_relaxed(&old.maps.lines[line].rate), 0);
	}
	cr_expect_gt(left.n_lines, end, "beyond what the older one kept");
}

/* Lines that the older one gives were somebody's. */
Test(estate, one_that_came_later_gets_no_figures_of_a_purged_one)
{
	static struct help_token gone[JT_ESTATE_SPARE + 100];
	static struct jt_record created[JT_ESTATE_SPARE + 100];
	const size_t n = sizeof(gone) / sizeof(gone[0]);
	uint32_t line;

	for (size_t i = 0; i < n; i++) {
		help_token_make(&gone[i], "live");
		created[i] = help_create(&gone[i]);
		must(&left, created[i]);
		count_on(&new, (uint32_t)i);
	}
	/* while it replays they are free at once */
	jt_store_relaxed(&old.maps.identity_rw->state, JT_IDENTITY_LOADING);
	for (size_t i = 0; i < n; i++) {
		created[i].type = JT_REC_PURGE;
		must(&left, created[i]);
	}
	must(&heir, records[0]);
	hand_over(true);
	line = line_of(&heir, 0);
	cr_assert_lt(line, n, "one of those that were given");
	cr_expect_eq(heir.n_free, 98, "and the others are there still");
	cr_expect_eq(jt_load_relaxed(&new.maps.lines[line].uses), 0);
	cr_expect_eq(jt_load_relaxed(&new.maps.lines[line].rate), 0);
}

/* Twenty times as many upgrades as there are spare lines in the table. */
Test(estate, lines_are_not_used_up_by_upgrades)
{
	fill_old();
	fill_new_backwards(0);
	for (unsigned i = 0; i < 80; i++) {
		struct jt_ledger *from = i % 2 ? &heir : &left;
		struct jt_ledger *to = i % 2 ? &left : &heir;
		int fd = jt_estate_write(from);

		cr_assert_geq(fd, 0);
		cr_assert_eq(jt_estate_take(to, fd, true), 0, "%u", i);
		close(fd);
		jt_estate_release(to);
		jt_ledger_tidy(to, 0);
		cr_assert_lt(to->n_lines, N + 2 * JT_ESTATE_SPARE);
	}
}

/* Or a table that is upgraded often would seem full, and grow. */
Test(estate, lines_that_were_free_stay_so_when_the_other_one_has_gone)
{
	uint32_t n_free;
	int fd;

	fill_old();
	fill_new_backwards(0);
	fd = jt_estate_write(&left);
	cr_assert_eq(jt_estate_take(&heir, fd, true), 0);
	close(fd);
	jt_estate_release(&heir);
	jt_ledger_tidy(&heir, 0);
	n_free = heir.n_free;
	cr_assert_gt(n_free, 0);
	fd = jt_estate_write(&heir);
	close(fd);
	jt_estate_release(&heir); /* it is taken back */
	cr_expect_eq(heir.n_free, n_free);
}

Test(estate, one_of_another_form_is_refused_whatever_is_wrong)
{
	static const size_t at[] = {0, 8, 12, 16, 32};
	char bytes[8192];
	int fd = jt_estate_write(&left), bad;
	ssize_t n;

	for (unsigned i = 0; i <= sizeof(at) / sizeof(at[0]); i++) {
		n = pread(fd, bytes, sizeof(bytes), 0);
		cr_assert_gt(n, 0);
		if (i)
			bytes[at[i - 1]]++;
		bad = memfd_create("bad", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		cr_assert_eq(write(bad, bytes, (size_t)n), n);
		cr_expect_eq(jt_estate_take(&heir, bad, true), JT_ESTATE_E_BAD,
			     "not sealed");
		fcntl(bad, F_ADD_SEALS,
		      F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
		cr_expect_eq(jt_estate_take(&heir, bad, true),
			     i ? JT_ESTATE_E_BAD : 0, "byte %zu",
			     i ? at[i - 1] : 0);
		close(bad);
	}
}

Test(estate, lines_that_are_none_are_refused)
{
	struct jt_estate_entry *e;
	int fd, bad;
	char bytes[65536];
	ssize_t n;

	fill_old();
	fill_new_backwards(0);
	fd = jt_estate_write(&left);
	n = pread(fd, bytes, sizeof(bytes), 0);
	e = (void *)(bytes + sizeof(struct jt_estate_header));
	e[7].line = 4095;
	bad = memfd_create("bad", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_eq(write(bad, bytes, (size_t)n), n);
	fcntl(bad, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	cr_expect_eq(jt_estate_take(&heir, bad, true), JT_ESTATE_E_BAD);
}
