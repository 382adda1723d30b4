/* news: tokens are counted right, a slice at a time, and cost next to nothing.
 */
#include "sidecar/news.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define S 1000000000ull
#define DAY_S 86400u
#define LINES (3 * JT_NEWS_SLICE + 5)

static struct help_table t;
static struct jt_ledger l;
static struct jt_teller teller;
static const struct jt_news *news;
static uint64_t clock_is, reading_takes;

static uint64_t clock_ns(void)
{
	return clock_is += reading_takes;
}

static void start(void)
{
	help_table_new(&t, 64);
	l.lines = calloc(LINES, sizeof(*l.lines));
	l.n_lines = LINES;
	clock_is = 1000 * S;
	reading_takes = 0;
	jt_news_open(&teller, &t.maps, &l, clock_ns, HELP_NOW_S - 7);
	news = &t.reader.identity->news;
}

static void stop(void)
{
	free(l.lines);
}

TestSuite(news, .init = start, .fini = stop);

static void put(uint32_t line, uint8_t state, uint64_t expires_s)
{
	l.lines[line] = (struct jt_line){
		.last = 1, .state = state, .expires_s = (uint32_t)expires_s};
}

/* A turn of the keeper's loop, MS after the last. */
static void turn(uint64_t ms)
{
	clock_is += ms * 1000000;
	jt_news_count(&teller, clock_is, HELP_NOW_S);
}

static void expect(uint64_t active, uint64_t suspended, uint64_t revoked,
		   uint64_t expired)
{
	cr_expect_eq(jt_load_relaxed(&news->active), active);
	cr_expect_eq(jt_load_relaxed(&news->suspended), suspended);
	cr_expect_eq(jt_load_relaxed(&news->revoked), revoked);
	cr_expect_eq(jt_load_relaxed(&news->expired), expired);
}

Test(news, each_token_counts_for_one_status)
{
	put(1, JT_SLOT_ACTIVE, HELP_NOW_S + 1);
	put(2, JT_SLOT_ACTIVE, HELP_NOW_S + 90 * DAY_S);
	put(3, JT_SLOT_ACTIVE, HELP_NOW_S);
	put(4, JT_SLOT_ACTIVE, 5);
	put(5, JT_SLOT_ACTIVE, 6);
	put(6, JT_SLOT_SUSPENDED, HELP_NOW_S + 1);
	put(7, JT_SLOT_SUSPENDED, 5);
	put(8, JT_SLOT_REVOKED, HELP_NOW_S + 1);
	put(LINES - 1, JT_SLOT_REVOKED, 5);
	jt_news_count_all(&teller, HELP_NOW_S);
	expect(2, 2, 2, 3);
}

Test(news, what_expires_soon_is_counted_in_every_wider_span)
{
	for (unsigned i = 0; i < JT_EXPIRING_N; i++)
		put(i * JT_NEWS_SLICE / 2, JT_SLOT_ACTIVE,
		    HELP_NOW_S + jt_expiring_days[i] * DAY_S);
	put(1, JT_SLOT_ACTIVE, HELP_NOW_S + 61 * DAY_S);
	put(2, JT_SLOT_REVOKED, HELP_NOW_S + 1);
	put(3, JT_SLOT_ACTIVE, HELP_NOW_S);
	jt_news_count_all(&teller, HELP_NOW_S);
	for (unsigned i = 0; i < JT_EXPIRING_N; i++)
		cr_expect_eq(jt_load_relaxed(&news->expiring[i]), i + 1);
}

Test(news, slices_add_up_to_the_whole)
{
	static const uint32_t sizes[] = {1, 7, 4096, LINES, UINT32_MAX};
	struct jt_expiring whole;

	srand(7);
	for (uint32_t i = 0; i < LINES; i++)
		if (rand() % 4)
			put(i, (uint8_t)(JT_SLOT_ACTIVE + rand() % 3),
			    HELP_NOW_S - DAY_S +
				    (uint64_t)(rand() % (70 * DAY_S)));
	jt_ledger_expiring(&l, HELP_NOW_S, &whole);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct jt_expiring sum = {0};
		uint32_t next = 0;

		do
			next = jt_ledger_expiring_slice(&l, next, sizes[i],
							HELP_NOW_S, &sum);
		while (next);
		cr_expect_arr_eq(&sum, &whole, sizeof(sum), "%u", sizes[i]);
	}
}

Test(news, no_half_count_is_told)
{
	put(0, JT_SLOT_ACTIVE, HELP_NOW_S + 1);
	put(LINES - 1, JT_SLOT_ACTIVE, HELP_NOW_S + 1);
	jt_news_count_all(&teller, HELP_NOW_S);
	put(0, JT_SLOT_REVOKED, 0);
	put(LINES - 1, JT_SLOT_REVOKED, 0);
	turn(1000);
	expect(2, 0, 0, 0);
	for (unsigned i = 0; i < LINES / JT_NEWS_SLICE; i++)
		turn(1);
	expect(0, 0, 2, 0);
}

Test(news, a_pass_begins_once_a_second)
{
	l.n_lines = 1;
	put(0, JT_SLOT_ACTIVE, HELP_NOW_S + 1);
	turn(1000);
	expect(1, 0, 0, 0);
	put(0, JT_SLOT_REVOKED, 0);
	turn(999);
	expect(1, 0, 0, 0);
	turn(1);
	expect(0, 0, 1, 0);
}

Test(news, counting_takes_a_bounded_share_of_the_time)
{
	static const uint64_t takes[] = {100, 300000, 5000000, 900000000};

	for (size_t i = 0; i < sizeof(takes) / sizeof(takes[0]); i++) {
		uint64_t began_ns = clock_is, counted_ns = 0;
		unsigned n = 0;

		reading_takes = takes[i];
		while (n < 200) {
			uint64_t now_ns = clock_is;

			turn(1);
			if (clock_is - now_ns == 1000000)
				continue;
			counted_ns += takes[i];
			n++;
		}
		cr_expect_leq(counted_ns * 200, clock_is - began_ns,
			      "a slice of %lu ns", takes[i]);
	}
}

Test(news, an_empty_table_is_none_of_everything)
{
	l.n_lines = 0;
	turn(1000);
	expect(0, 0, 0, 0);
}

Test(news, says_whether_all_is_well_and_since_when)
{
	cr_expect_eq(jt_load_relaxed(&news->started_s), HELP_NOW_S - 7);
	jt_news_tell(&teller, 41, true);
	cr_expect_eq(jt_load_relaxed(&news->committed), 41);
	cr_expect_eq(jt_load_relaxed(&news->red), 1);
	jt_news_tell(&teller, 42, false);
	cr_expect_eq(jt_load_relaxed(&news->committed), 42);
	cr_expect_eq(jt_load_relaxed(&news->red), 0);
}

Test(news, figures_are_the_keepers_and_the_scribes)
{
	const struct jt_figures scribe = {5 * S, 1ull << 40, 1000000};

	jt_news_figures(&teller, clock_is, &scribe);
	cr_expect_geq(jt_load_relaxed(&news->cpu_ns), 5 * S);
	cr_expect_leq(jt_load_relaxed(&news->cpu_ns), 60 * S);
	cr_expect_gt(jt_load_relaxed(&news->resident), 1ull << 40);
	cr_expect_gt(jt_load_relaxed(&news->open_fds), 1000000 + 3);
}
