/* metrics: the exact text, whatever the board says, however small the buffer.
 */
#include "sidecar/metrics.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct help_table t;
static struct jt_identity *id;
static struct jt_news *news;
static struct jt_desk *resp, *http, *resp2;
static char text[JT_METRICS_MAX + 1];
static size_t len;

static void start(void)
{
	help_table_new(&t, 1000);
	id = t.maps.identity_rw;
	news = &id->news;
	resp = &t.maps.board[0];
	resp2 = &t.maps.board[1];
	http = &t.maps.board[2];
	jt_store_relaxed(&http->kind, JT_DESK_HTTP);
}

TestSuite(metrics, .init = start);

static void write_all(void)
{
	memset(text, 'z', sizeof(text));
	len = jt_metrics_write(&t.reader, help_now(), text, JT_METRICS_MAX);
	cr_assert_lt(len, JT_METRICS_MAX);
	text[len] = '\0';
}

/* A sample's value as it is written; NULL: there is no such series. */
static const char *value_of(const char *series)
{
	static char value[64];
	size_t n = strlen(series);

	for (const char *at = text; *at; at = strchr(at, '\n') + 1) {
		if (strncmp(at, series, n) != 0 || at[n] != ' ')
			continue;
		snprintf(value, sizeof(value), "%.*s",
			 (int)strcspn(at + n + 1, "\n"), at + n + 1);
		return value;
	}
	return NULL;
}

static void expect(const char *series, const char *value)
{
	const char *is = value_of(series);

	cr_expect_not_null(is, "%s is missing", series);
	if (is)
		cr_expect_str_eq(is, value, "%s", series);
}

/* The lines of one family, HELP and TYPE with them. */
static void expect_family(const char *name, const char *lines)
{
	char head[128], *from, *to;

	snprintf(head, sizeof(head), "# HELP %s ", name);
	from = strstr(text, head);
	cr_assert_not_null(from, "%s", name);
	to = strstr(from + 1, "# HELP ");
	if (to)
		*to = '\0';
	cr_expect_str_eq(from, lines);
	if (to)
		*to = '#';
}

Test(metrics, verdicts_are_summed_by_door)
{
	jt_store_relaxed(&resp->words[JT_VALID], 10);
	jt_store_relaxed(&resp2->words[JT_VALID], 5);
	jt_store_relaxed(&resp2->words[JT_REVOKED], 3);
	jt_store_relaxed(&http->words[JT_VALID], 7);
	write_all();
	expect("jeton_verifications_total{verdict=\"VALID\",door=\"resp\"}",
	       "15");
	expect("jeton_verifications_total{verdict=\"REVOKED\",door=\"resp\"}",
	       "3");
	expect("jeton_verifications_total{verdict=\"VALID\",door=\"http\"}",
	       "7");
	expect("jeton_verifications_total{verdict=\"MISSING\",door=\"http\"}",
	       "0");
}

Test(metrics, a_dead_workers_counters_stay)
{
	jt_store_relaxed(&resp2->words[JT_VALID], 5);
	jt_store_relaxed(&resp2->accepted, 2);
	jt_store_seq(&resp2->state, JT_DESK_FREE);
	write_all();
	expect("jeton_verifications_total{verdict=\"VALID\",door=\"resp\"}",
	       "5");
	expect("jeton_connections_total{door=\"resp\"}", "2");
}

Test(metrics, buckets_are_cumulated)
{
	jt_store_relaxed(&resp->took[0], 1);
	jt_store_relaxed(&resp->took[1], 2);
	jt_store_relaxed(&resp2->took[1], 4);
	jt_store_relaxed(&resp->took[JT_TOOK_MAX - 2], 8);
	jt_store_relaxed(&resp->took[JT_TOOK_MAX - 1], 16);
	jt_store_relaxed(&resp->took_ns, 12000000034ull);
#define LE(le)                                                                 \
	"jeton_verify_duration_seconds_bucket{door=\"resp\",le=\"" le "\"}"
	write_all();
	expect(LE("0.000001"), "1");
	expect(LE("0.000002"), "7");
	expect(LE("0.000004"), "7");
	expect(LE("2.097152"), "7");
	expect(LE("4.194304"), "15");
	cr_expect_null(value_of(LE("8.388608")));
	expect(LE("+Inf"), "31");
	expect("jeton_verify_duration_seconds_count{door=\"resp\"}", "31");
	expect("jeton_verify_duration_seconds_sum{door=\"resp\"}",
	       "12.000000034");
	expect("jeton_verify_duration_seconds_count{door=\"http\"}", "0");
}

Test(metrics, tokens_and_what_expires)
{
	const uint64_t expiring[] = {1, 2, 4, 8, 16};

	jt_store_relaxed(&news->active, 100);
	jt_store_relaxed(&news->suspended, 20);
	jt_store_relaxed(&news->revoked, 3);
	jt_store_relaxed(&news->expired, 4);
	for (unsigned i = 0; i < 5; i++)
		jt_store_relaxed(&news->expiring[i], expiring[i]);
	write_all();
	expect_family("jeton_tokens",
		      "# HELP jeton_tokens Tokens by status; absent while the "
		      "journal is replayed.\n"
		      "# TYPE jeton_tokens gauge\n"
		      "jeton_tokens{status=\"active\"} 100\n"
		      "jeton_tokens{status=\"suspended\"} 20\n"
		      "jeton_tokens{status=\"revoked\"} 3\n"
		      "jeton_tokens{status=\"expired\"} 4\n");
	expect_family("jeton_tokens_expiring",
		      "# HELP jeton_tokens_expiring Tokens, but for revoked "
		      "ones, that expire within that span; absent while the "
		      "journal is replayed.\n"
		      "# TYPE jeton_tokens_expiring gauge\n"
		      "jeton_tokens_expiring{within=\"1d\"} 1\n"
		      "jeton_tokens_expiring{within=\"7d\"} 2\n"
		      "jeton_tokens_expiring{within=\"14d\"} 4\n"
		      "jeton_tokens_expiring{within=\"30d\"} 8\n"
		      "jeton_tokens_expiring{within=\"60d\"} 16\n");
}

Test(metrics, while_loading_tokens_are_not_said_to_be_none)
{
	jt_store_seq(&id->state, JT_IDENTITY_LOADING);
	write_all();
	cr_expect_null(value_of("jeton_tokens{status=\"active\"}"));
	cr_expect_null(value_of("jeton_tokens_expiring{within=\"1d\"}"));
	expect("jeton_healthy", "0");
	cr_expect_not_null(strstr(text, "# TYPE jeton_tokens gauge\n"));
}

Test(metrics, healthy_is_serving_and_not_red)
{
	write_all();
	expect("jeton_healthy", "1");
	jt_store_relaxed(&news->red, 1);
	write_all();
	expect("jeton_healthy", "0");
	jt_store_relaxed(&news->red, 0);
	jt_store_seq(&id->state, JT_IDENTITY_RETIRED);
	write_all();
	expect("jeton_healthy", "0");
}

Test(metrics, the_table_and_the_journal)
{
	char free_slots[32];

	jt_store_relaxed(&id->used, 10);
	jt_store_relaxed(&id->tokens, 9);
	jt_store_relaxed(&id->applied, 41);
	jt_store_relaxed(&news->committed, 43);
	jt_store_relaxed(&news->settings, 2);
	snprintf(free_slots, sizeof(free_slots), "%" PRIu64, id->slots - 10);
	write_all();
	expect("jeton_table_slots{state=\"used\"}", "10");
	expect("jeton_table_slots{state=\"free\"}", free_slots);
	expect("jeton_table_capacity_tokens", "1000");
	expect("jeton_table_tokens", "9");
	expect("jeton_applied_number", "41");
	expect("jeton_journal_number", "43");
	expect("jeton_settings_generation", "2");
	expect("jeton_build_info{version=\"" JT_VERSION
	       "\",backend=\"io_uring\"}",
	       "1");
	/* applied, but not told yet */
	jt_store_relaxed(&id->applied, 44);
	write_all();
	expect("jeton_journal_number", "44");
}

Test(metrics, connections_and_memo)
{
	jt_store_relaxed(&resp->connections, 3);
	jt_store_relaxed(&http->connections, 4);
	jt_store_relaxed(&resp->busy, 5);
	jt_store_relaxed(&resp->memo_hits, 6);
	jt_store_relaxed(&http->memo_hits, 60);
	jt_store_relaxed(&resp->memo_misses, 7);
	jt_store_relaxed(&resp->torn, 8);
	write_all();
	expect("jeton_connections{door=\"resp\"}", "3");
	expect("jeton_connections{door=\"http\"}", "4");
	expect("jeton_busy_total{door=\"resp\"}", "5");
	expect("jeton_memo_hits_total", "66");
	expect("jeton_memo_misses_total", "7");
	expect("jeton_torn_slots_total", "8");
}

Test(metrics, a_worker_that_does_not_turn_is_not_counted)
{
	struct jt_desk *desks[] = {resp, resp2, http};

	for (unsigned i = 0; i < 3; i++) {
		jt_store_relaxed(&desks[i]->state, JT_DESK_SERVING);
		jt_store_relaxed(&desks[i]->beat_ns, HELP_BOOT_NS - 1000);
	}
	write_all();
	expect("jeton_workers{door=\"resp\"}", "2");
	expect("jeton_workers{door=\"http\"}", "1");
	jt_store_relaxed(&resp->beat_ns, HELP_BOOT_NS - 2000000000);
	jt_store_relaxed(&resp2->beat_ns, UINT64_MAX);
	jt_store_relaxed(&http->state, JT_DESK_STARTING);
	write_all();
	expect("jeton_workers{door=\"resp\"}", "0");
	expect("jeton_workers{door=\"http\"}", "0");
}

static struct jt_calls *calls(unsigned worker, unsigned peer)
{
	return &t.maps.calls[worker * JT_PEERS_MAX + peer];
}

#define CALLS(uid, verdict)                                                    \
	"jeton_callers_verifications_total{uid=\"" uid "\",verdict=\"" verdict \
	"\"}"

Test(metrics, callers_by_uid)
{
	jt_store_relaxed(&t.maps.peers[1].uid, 1);
	jt_store_relaxed(&t.maps.peers[2].uid, 1001);
	jt_store_relaxed(&calls(0, 0)->busy, 9);
	jt_store_relaxed(&calls(0, 1)->admitted, 1);
	jt_store_relaxed(&calls(0, 2)->admitted, 2);
	jt_store_relaxed(&calls(62, 2)->admitted, 40);
	jt_store_relaxed(&calls(1, 2)->refused, 5);
	write_all();
	expect(CALLS("other", "busy"), "9");
	expect(CALLS("0", "admitted"), "1");
	expect(CALLS("1000", "admitted"), "42");
	expect(CALLS("1000", "refused"), "5");
	cr_expect_null(value_of(CALLS("1001", "admitted")));
}

Test(metrics, a_hostile_list_of_callers_gives_no_series_twice)
{
	jt_store_relaxed(&t.maps.peers[3].uid, 1001);
	jt_store_relaxed(&t.maps.peers[7].uid, 1001);
	jt_store_relaxed(&t.maps.peers[8].uid, UINT64_MAX);
	jt_store_relaxed(&t.maps.peers[9].uid, 1ull << 32);
	jt_store_relaxed(&t.maps.peers[0].uid, 5);
	jt_store_relaxed(&calls(0, 3)->refused, 1);
	jt_store_relaxed(&calls(0, 7)->refused, 2);
	jt_store_relaxed(&calls(0, 8)->refused, 4);
	jt_store_relaxed(&calls(0, 9)->refused, 8);
	jt_store_relaxed(&calls(0, 0)->refused, 16);
	write_all();
	expect(CALLS("1000", "refused"), "3");
	expect(CALLS("other", "refused"), "28");
	cr_expect_null(value_of(CALLS("4", "refused")));
}

Test(metrics, processes_are_summed)
{
	jt_store_relaxed(&resp->cpu_ns, 1500000000);
	jt_store_relaxed(&http->cpu_ns, 600000000);
	jt_store_relaxed(&news->cpu_ns, 7);
	jt_store_relaxed(&resp->resident, 100);
	jt_store_relaxed(&news->resident, 11);
	jt_store_relaxed(&http->open_fds, 8);
	jt_store_relaxed(&news->open_fds, 20);
	jt_store_relaxed(&news->started_s, HELP_NOW_S);
	write_all();
	expect("process_cpu_seconds_total", "2.100000007");
	expect("process_resident_memory_bytes", "111");
	expect("process_open_fds", "28");
	expect("process_start_time_seconds", "1800000000");
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every line is a comment or NAME{LABELS} NUMBER; each series comes once. */
static unsigned check_lines(char *at)
{
	static char *series[2000];
	unsigned n = 0;

	for (char *end; *at; at = end + 1) {
		char name[128], number[64];
		int used = 0;

		end = strchr(at, '\n');
		cr_assert_not_null(end, "a line is cut: %s", at);
		*end = '\0';
		if (!strncmp(at, "# HELP ", 7) || !strncmp(at, "# TYPE ", 7))
			continue;
		if (sscanf(at, "%127[a-z_]%n", name, &used) == 1 &&
		    at[used] == '{')
			used += (int)strcspn(at + used, "}") + 1;
		cr_assert_eq(sscanf(at + used, " %63[0-9.]", number), 1, "%s",
			     at);
		cr_assert_eq(strlen(at), (size_t)used + 1 + strlen(number),
			     "%s", at);
		at[used] = '\0';
		series[n++] = at;
	}
	qsort(series, n, sizeof(series[0]), by_text);
	for (unsigned i = 1; i < n; i++)
		cr_assert_str_neq(series[i - 1], series[i]);
	return n;
}

static void scribble(uint64_t (*next)(void))
{
	uint64_t *words = (uint64_t *)(void *)t.maps.board;
	size_t n = JT_WORKERS_MAX * sizeof(struct jt_desk) / 8;

	for (size_t i = 0; i < n; i++)
		words[i] = next();
	words = (uint64_t *)(void *)t.maps.peers;
	for (size_t i = 0; i < JT_PEERS_MAX * sizeof(struct jt_peer) / 8; i++)
		words[i] = next();
	words = (uint64_t *)(void *)t.maps.calls;
	n = (size_t)JT_WORKERS_MAX * JT_PEERS_MAX * sizeof(struct jt_calls) / 8;
	for (size_t i = 0; i < n; i++)
		words[i] = next();
}

static uint64_t ones(void)
{
	return UINT64_MAX;
}

static uint64_t any(void)
{
	uint64_t r = (uint64_t)rand() << 32 ^ (uint64_t)rand() << 16 ^
		     (uint64_t)rand();

	return r >> rand() % 64;
}

Test(metrics, whatever_is_on_the_board_each_line_is_whole_and_comes_once)
{
	scribble(ones);
	write_all();
	cr_expect_gt(check_lines(text), 100);
	srand(3);
	for (unsigned i = 0; i < 50; i++) {
		scribble(any);
		write_all();
		cr_expect_gt(check_lines(text), 100);
	}
}

Test(metrics, the_longest_text_fits)
{
	uint64_t *words = (uint64_t *)(void *)news;

	scribble(ones);
	for (size_t i = 0; i < sizeof(*news) / 8; i++)
		words[i] = UINT64_MAX;
	for (uint32_t i = 0; i < JT_PEERS_MAX; i++)
		jt_store_relaxed(&t.maps.peers[i].uid, UINT32_MAX - i);
	write_all();
	cr_expect_not_null(value_of("process_start_time_seconds"));
	cr_expect_lt(len, JT_METRICS_MAX / 2, "%zu", len);
}

Test(metrics, a_small_buffer_ends_behind_a_whole_line)
{
	static char whole[JT_METRICS_MAX], part[JT_METRICS_MAX];

	write_all();
	memcpy(whole, text, len);
	for (size_t max = 0; max <= len + 1; max++) {
		size_t n;

		memset(part, '!', sizeof(part));
		n = jt_metrics_write(&t.reader, help_now(), part, max);
		cr_assert_leq(n, max);
		cr_assert_arr_eq(part, whole, n);
		cr_assert(n == 0 || part[n - 1] == '\n', "at %zu", max);
		cr_assert_eq(part[n], '!');
		/* nothing that would have fitted is left out */
		cr_assert(n == len || strcspn(whole + n, "\n") + 1 > max - n);
	}
}

Test(metrics, every_family_says_what_it_is)
{
	char *at, name[128], type[16];
	unsigned n = 0;

	write_all();
	for (at = text; *at; at = strchr(at, '\n') + 1) {
		char help[160];

		if (sscanf(at, "# TYPE %127[a-z_] %15[a-z]", name, type) != 2)
			continue;
		n++;
		snprintf(help, sizeof(help), "# HELP %s ", name);
		cr_expect_not_null(strstr(text, help), "%s", name);
		/* `_total` is how counters end, and nothing else */
		cr_expect_eq(!strcmp(type, "counter"),
			     strlen(name) > 6 &&
				     !strcmp(name + strlen(name) - 6, "_total"),
			     "%s", name);
	}
	cr_expect_gt(n, 20);
}
