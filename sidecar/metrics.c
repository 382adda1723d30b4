/*
 * metrics: see metrics.h. One function a family, in the order in which they
 * appear. All loads relaxed: each figure stands alone, and a counter only ever
 * grows, also over the death of the worker that counted it.
 */
#include "sidecar/metrics.h"

#include "sidecar/ledger.h"
#include "sidecar/sandbox.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE 512u
#define NS_PER_S UINT64_C(1000000000)
#define STALE_NS NS_PER_S /* as for other workers, worker.c */
#define DOOR_MAX JT_DESK_KINDS
#define NOBODY UINT64_MAX /* as a uid: all that have no number of their own */

struct text {
	char *buf;
	size_t len, max;
	bool full;
};

struct source {
	const struct jt_maps *maps;
	const struct jt_identity *id;
	const struct jt_news *news;
	struct jt_now now;
	bool counted; /* tokens were: not while the journal is replayed */
};

static const char *const doors[JT_DESK_KINDS] = {"resp", "http"};

static void line(struct text *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A whole line or nothing, and after nothing nothing more. */
static void line(struct text *t, const char *format, ...)
{
	char made[LINE];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(made, sizeof(made), format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(made) ||
	    t->max - t->len < (size_t)n + 1)
		t->full = true;
	if (t->full)
		return;
	made[n] = '\n';
	memcpy(t->buf + t->len, made, (size_t)n + 1);
	t->len += (size_t)n + 1;
}

static void head(struct text *t, const char *name, const char *type,
		 const char *help)
{
	line(t, "# HELP %s %s", name, help);
	line(t, "# TYPE %s %s", name, type);
}

static void one(struct text *t, const char *name, const char *type,
		const char *help, uint64_t value)
{
	head(t, name, type, help);
	line(t, "%s %" PRIu64, name, value);
}

/* ---- the board ---- */

/* The desk's word at OFFSET. */
static uint64_t word_of(const struct jt_desk *d, size_t offset)
{
	return jt_load_relaxed(
		(const _Atomic uint64_t *)(const void *)((const char *)d +
							 offset));
}

/* Over the desks at a door; DOOR_MAX: over all. */
static uint64_t sum(const struct jt_maps *maps, unsigned door, size_t offset)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < JT_WORKERS_MAX; i++)
		if (door == DOOR_MAX ||
		    jt_load_relaxed(&maps->board[i].kind) == door)
			n += word_of(&maps->board[i], offset);
	return n;
}

static void by_door(struct text *t, const struct jt_maps *maps,
		    const char *name, const char *type, const char *help,
		    size_t offset)
{
	head(t, name, type, help);
	for (unsigned d = 0; d < JT_DESK_KINDS; d++)
		line(t, "%s{door=\"%s\"} %" PRIu64, name, doors[d],
		     sum(maps, d, offset));
}

static void write_verifications(struct text *t, const struct source *s)
{
	head(t, "jeton_verifications_total", "counter",
	     "Verdicts by word and door.");
	for (unsigned d = 0; d < JT_DESK_KINDS; d++)
		for (unsigned w = 0; w < JT_WORDS_N; w++)
			line(t,
			     "jeton_verifications_total{verdict=\"%s\","
			     "door=\"%s\"} %" PRIu64,
			     jt_word_name(w), doors[d],
			     sum(s->maps, d,
				 offsetof(struct jt_desk, words) + 8 * w));
}

/* Cumulated, as the format wants them; the last one is +Inf, and the count. */
static void write_took(struct text *t, const struct jt_maps *maps, unsigned d)
{
	uint64_t n = 0, ns = sum(maps, d, offsetof(struct jt_desk, took_ns));

	for (unsigned i = 0; i < JT_TOOK_MAX; i++) {
		unsigned long us = 1ul << i;

		n += sum(maps, d, offsetof(struct jt_desk, took) + 8 * i);
		if (i < JT_TOOK_MAX - 1)
			line(t,
			     "jeton_verify_duration_seconds_bucket{"
			     "door=\"%s\",le=\"%lu.%06lu\"} %" PRIu64,
			     doors[d], us / 1000000, us % 1000000, n);
	}
	line(t,
	     "jeton_verify_duration_seconds_bucket{door=\"%s\",le=\"+Inf\"} "
	     "%" PRIu64,
	     doors[d], n);
	line(t,
	     "jeton_verify_duration_seconds_sum{door=\"%s\"} %" PRIu64
	     ".%09" PRIu64,
	     doors[d], ns / NS_PER_S, ns % NS_PER_S);
	line(t, "jeton_verify_duration_seconds_count{door=\"%s\"} %" PRIu64,
	     doors[d], n);
}

static void write_duration(struct text *t, const struct source *s)
{
	head(t, "jeton_verify_duration_seconds", "histogram",
	     "From the clock reading of a round, which is right after its "
	     "requests were received, to its replies being written; each "
	     "verdict of the round counts with that time.");
	for (unsigned d = 0; d < JT_DESK_KINDS; d++)
		write_took(t, s->maps, d);
}

static void write_connections(struct text *t, const struct source *s)
{
	by_door(t, s->maps, "jeton_connections", "gauge", "Open connections.",
		offsetof(struct jt_desk, connections));
	by_door(t, s->maps, "jeton_connections_total", "counter",
		"Connections accepted.", offsetof(struct jt_desk, accepted));
	by_door(t, s->maps, "jeton_busy_total", "counter",
		"Connections refused as busy: there were too many.",
		offsetof(struct jt_desk, busy));
}

/* Who has not finished a round lately is stopped or stuck. */
static bool is_working(const struct jt_desk *d, uint64_t now_ns)
{
	uint64_t beat_ns = jt_load_relaxed(&d->beat_ns);

	return jt_load_relaxed(&d->state) == JT_DESK_SERVING &&
	       beat_ns < now_ns + STALE_NS && now_ns < beat_ns + STALE_NS;
}

static void write_workers(struct text *t, const struct source *s)
{
	uint64_t n[JT_DESK_KINDS] = {0};

	for (unsigned i = 0; i < JT_WORKERS_MAX; i++) {
		const struct jt_desk *d = &s->maps->board[i];
		uint64_t door = jt_load_relaxed(&d->kind);

		if (door < JT_DESK_KINDS)
			n[door] += is_working(d, s->now.boot_ns);
	}
	head(t, "jeton_workers", "gauge",
	     "Processes that serve and finished a round in the last second.");
	for (unsigned d = 0; d < JT_DESK_KINDS; d++)
		line(t, "jeton_workers{door=\"%s\"} %" PRIu64, doors[d], n[d]);
}

/* The layers of sandbox.h that all who serve at a door have, one by one. */
static void write_sandbox(struct text *t, const struct source *s)
{
	uint64_t all[JT_DESK_KINDS] = {JT_LAYERS_ALL, JT_LAYERS_ALL};
	char name[JT_LAYERS_TEXT];

	for (unsigned i = 0; i < JT_WORKERS_MAX; i++) {
		const struct jt_desk *d = &s->maps->board[i];
		uint64_t door = jt_load_relaxed(&d->kind);
		uint64_t layers = jt_load_relaxed(&d->layers);

		if (door < JT_DESK_KINDS && layers)
			all[door] &= layers - 1;
	}
	head(t, "jeton_sandbox", "gauge",
	     "1: every process at that door has this layer; see jeton status.");
	for (unsigned d = 0; d < JT_DESK_KINDS; d++)
		for (unsigned bit = 1; bit < JT_LAYERS_ALL; bit <<= 1) {
			jt_sandbox_words(bit, name);
			line(t, "jeton_sandbox{door=\"%s\",layer=\"%s\"} %d",
			     doors[d], name, (all[d] & bit) != 0);
		}
}

static void write_memo(struct text *t, const struct source *s)
{
	one(t, "jeton_memo_hits_total", "counter",
	    "Values recognised without the long hash.",
	    sum(s->maps, DOOR_MAX, offsetof(struct jt_desk, memo_hits)));
	one(t, "jeton_memo_misses_total", "counter",
	    "Values for which the long hash was taken.",
	    sum(s->maps, DOOR_MAX, offsetof(struct jt_desk, memo_misses)));
	one(t, "jeton_torn_slots_total", "counter",
	    "Slots that were found inconsistent, so the request was denied.",
	    sum(s->maps, DOOR_MAX, offsetof(struct jt_desk, torn)));
}

/* ---- callers ---- */

/* What number P stands for; hostile contents are nobody in particular. */
static uint64_t uid_of(const struct jt_maps *maps, unsigned p)
{
	uint64_t word = p ? jt_load_relaxed(&maps->peers[p].uid) : 0;

	return word && word <= UINT32_MAX ? word - 1 : NOBODY;
}

/* Has a lower number the same uid? Then its line counts for both. */
static bool is_told(const struct jt_maps *maps, unsigned p)
{
	uint64_t uid = uid_of(maps, p);

	for (unsigned i = 0; i < p; i++)
		if (uid_of(maps, i) == uid)
			return true;
	return false;
}

struct calls {
	uint64_t admitted, refused, busy;
};

static struct calls calls_of(const struct jt_maps *maps, uint64_t uid)
{
	struct calls n = {0};

	for (unsigned p = 0; p < JT_PEERS_MAX; p++) {
		if (uid_of(maps, p) != uid)
			continue;
		for (unsigned w = 0; w < JT_WORKERS_MAX; w++) {
			const struct jt_calls *c =
				&maps->calls[w * JT_PEERS_MAX + p];

			n.admitted += jt_load_relaxed(&c->admitted);
			n.refused += jt_load_relaxed(&c->refused);
			n.busy += jt_load_relaxed(&c->busy);
		}
	}
	return n;
}

static void write_caller(struct text *t, const char *uid, struct calls n)
{
	const struct {
		const char *name;
		uint64_t value;
	} verdicts[] = {
		{"admitted", n.admitted},
		{"refused", n.refused},
		{"busy", n.busy},
	};

	for (unsigned i = 0; i < 3; i++)
		line(t,
		     "jeton_callers_verifications_total{uid=\"%s\","
		     "verdict=\"%s\"} %" PRIu64,
		     uid, verdicts[i].name, verdicts[i].value);
}

static void write_callers(struct text *t, const struct source *s)
{
	head(t, "jeton_callers_verifications_total", "counter",
	     "Verifications by the caller's uid; other: those of callers "
	     "without a number of their own. busy: not looked at, the caller "
	     "was over its limits.");
	for (unsigned p = 0; p < JT_PEERS_MAX; p++) {
		uint64_t uid = uid_of(s->maps, p);
		char name[24] = "other";

		if (is_told(s->maps, p))
			continue;
		if (uid != NOBODY)
			snprintf(name, sizeof(name), "%" PRIu64, uid);
		write_caller(t, name, calls_of(s->maps, uid));
	}
}

/* ---- tokens and table ---- */

static void write_tokens(struct text *t, const struct source *s)
{
	const struct {
		const char *status;
		const _Atomic uint64_t *value;
	} tokens[] = {
		{"active", &s->news->active},
		{"suspended", &s->news->suspended},
		{"revoked", &s->news->revoked},
		{"expired", &s->news->expired},
	};

	head(t, "jeton_tokens", "gauge",
	     "Tokens by status; absent while the journal is replayed.");
	for (unsigned i = 0; s->counted && i < 4; i++)
		line(t, "jeton_tokens{status=\"%s\"} %" PRIu64,
		     tokens[i].status, jt_load_relaxed(tokens[i].value));
	head(t, "jeton_tokens_expiring", "gauge",
	     "Tokens, but for revoked ones, that expire within that span; "
	     "absent while the journal is replayed.");
	for (unsigned i = 0; s->counted && i < JT_EXPIRING_SPANS; i++)
		line(t, "jeton_tokens_expiring{within=\"%ud\"} %" PRIu64,
		     jt_expiring_days[i],
		     jt_load_relaxed(&s->news->expiring[i]));
}

static void write_table(struct text *t, const struct source *s)
{
	uint64_t used = jt_load_relaxed(&s->id->used);

	head(t, "jeton_table_slots", "gauge",
	     "Places for values; a token has one, during a rotation's overlap "
	     "two.");
	line(t, "jeton_table_slots{state=\"used\"} %" PRIu64, used);
	line(t, "jeton_table_slots{state=\"free\"} %" PRIu64,
	     s->id->slots - used);
	one(t, "jeton_table_capacity_tokens", "gauge",
	    "Tokens that there is room for.", s->id->capacity);
	one(t, "jeton_table_capacity_max_tokens", "gauge",
	    "Tokens that it may grow to.",
	    jt_load_relaxed(&s->news->capacity_max));
	one(t, "jeton_table_growths_total", "counter",
	    "Times that the table has grown.",
	    jt_load_relaxed(&s->news->growths));
	one(t, "jeton_table_growing", "gauge", "1: it grows now.",
	    jt_load_relaxed(&s->news->growing) != 0);
	one(t, "jeton_table_tokens", "gauge", "Tokens in the table.",
	    jt_load_relaxed(&s->id->tokens));
}

/* All workers have the same. */
static const char *backend_of(const struct jt_maps *maps)
{
	for (unsigned i = 0; i < JT_WORKERS_MAX; i++)
		if (jt_load_relaxed(&maps->board[i].backend) == JT_DESK_EPOLL)
			return "epoll";
	return "io_uring";
}

static void write_journal(struct text *t, const struct source *s)
{
	uint64_t applied = jt_load_relaxed(&s->id->applied);
	uint64_t committed = jt_load_relaxed(&s->news->committed);
	bool serving = jt_load_relaxed(&s->id->state) == JT_IDENTITY_SERVING;

	/* what is in force is committed, also when the keeper tells us later */
	one(t, "jeton_journal_number", "gauge",
	    "Number of the last change that is committed.",
	    committed > applied ? committed : applied);
	one(t, "jeton_applied_number", "gauge",
	    "Number of the last change that is in force.", applied);
	one(t, "jeton_healthy", "gauge",
	    "1: serving, and every promise can be kept; 0: see jeton status.",
	    serving && !jt_load_relaxed(&s->news->red));
	one(t, "jeton_settings_generation", "gauge",
	    "How often the settings were read.",
	    jt_load_relaxed(&s->news->settings));
	head(t, "jeton_build_info", "gauge", "Always 1.");
	line(t, "jeton_build_info{version=\"" JT_VERSION "\",backend=\"%s\"} 1",
	     backend_of(s->maps));
}

/* ---- the processes: those at desks, and what the keeper tells ---- */

static void write_process(struct text *t, const struct source *s)
{
	uint64_t cpu_ns =
		sum(s->maps, DOOR_MAX, offsetof(struct jt_desk, cpu_ns)) +
		jt_load_relaxed(&s->news->cpu_ns);

	head(t, "process_cpu_seconds_total", "counter",
	     "CPU time of all processes of the daemon.");
	line(t, "process_cpu_seconds_total %" PRIu64 ".%09" PRIu64,
	     cpu_ns / NS_PER_S, cpu_ns % NS_PER_S);
	one(t, "process_resident_memory_bytes", "gauge",
	    "Of all processes of the daemon; what they share is counted in "
	    "each.",
	    sum(s->maps, DOOR_MAX, offsetof(struct jt_desk, resident)) +
		    jt_load_relaxed(&s->news->resident));
	one(t, "process_open_fds", "gauge",
	    "Open descriptors of all processes of the daemon.",
	    sum(s->maps, DOOR_MAX, offsetof(struct jt_desk, open_fds)) +
		    jt_load_relaxed(&s->news->open_fds));
	one(t, "process_start_time_seconds", "gauge",
	    "When the daemon started, seconds since 1970.",
	    jt_load_relaxed(&s->news->started_s));
}

size_t jt_metrics_write(const struct jt_maps *maps, struct jt_now now,
			char *buf, size_t max)
{
	static void (*const families[])(struct text *,
					const struct source *) = {
		write_verifications, write_duration, write_callers,
		write_connections,   write_workers,  write_sandbox,
		write_memo,	     write_tokens,   write_table,
		write_journal,	     write_process,
	};
	struct text t = {.buf = buf, .max = max};
	struct source s = {
		.maps = maps,
		.id = maps->identity,
		.news = &maps->identity->news,
		.now = now,
	};

	/* pairs with the keeper's store once it has counted */
	s.counted = jt_load_acquire(&s.id->state) != JT_IDENTITY_LOADING;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		families[i](&t, &s);
	return t.len;
}
