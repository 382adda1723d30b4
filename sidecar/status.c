/* status: see status.h. */
#include "sidecar/status.h"

#include "sidecar/peers.h"
#include "sidecar/stats.h"
#include <jansson.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull

static json_t *workers_json(const struct jt_status *s)
{
	static const char *const states[] = {"free", "starting", "serving"};
	static const char *const doors[] = {"resp", "http"};
	json_t *list = json_array();

	for (unsigned i = 0; i < s->crew->n_hands; i++) {
		const struct jt_desk *d =
			&s->maps->board[s->crew->args.first_desk + i];
		uint64_t state = jt_load_seq(&d->state);

		json_array_append_new(
			list,
			json_pack("{sI ss sI ss sI sI sI}", "n", (json_int_t)i,
				  "door", doors[i >= s->crew->args.n_workers],
				  "pid", (json_int_t)s->crew->hands[i].pid,
				  "state", state < 3 ? states[state] : "?",
				  "connections",
				  (json_int_t)jt_load_seq(&d->connections),
				  "accepted",
				  (json_int_t)jt_load_relaxed(&d->accepted),
				  "rounds",
				  (json_int_t)jt_load_relaxed(&d->rounds)));
	}
	return list;
}

/* ---- what each process can still do ---- */

static void add_box(json_t *list, const char *who, pid_t pid, unsigned layers,
		    uint64_t open_fds)
{
	char active[JT_LAYERS_TEXT], missing[JT_LAYERS_TEXT];

	jt_sandbox_words(layers, active);
	jt_sandbox_words(JT_LAYERS_ALL & ~layers, missing);
	json_array_append_new(
		list, json_pack("{ss sI ss ss sI}", "process", who, "pid",
				(json_int_t)pid, "layers", active, "missing",
				missing, "open_fds", (json_int_t)open_fds));
}

/* Those at doors that have entered theirs; those that serve have. */
static void add_boxes(const struct jt_status *s, json_t *list)
{
	char who[32];

	for (unsigned i = 0; i < s->crew->n_hands; i++) {
		const struct jt_desk *d = &s->maps->board[i];
		/* relaxed: each word stands alone */
		uint64_t layers = jt_load_relaxed(&d->layers);

		snprintf(who, sizeof(who), "%s %u",
			 i < s->crew->args.n_workers ? "worker" : "http", i);
		if (layers)
			add_box(list, who, s->crew->hands[i].pid,
				(unsigned)(layers - 1) & JT_LAYERS_ALL,
				jt_load_relaxed(&d->open_fds));
	}
}

/* The clerk comes and goes: its last one's. */
static json_t *sandbox_json(const struct jt_status *s)
{
	const struct jt_crew *c = s->crew;
	json_t *list = json_array();

	add_box(list, "keeper", getpid(), s->box->layers, s->keeper_fds);
	add_boxes(s, list);
	if (c->scribe.pid && c->heard)
		add_box(list, "scribe", c->scribe.pid, c->scribe_layers,
			c->figures.open_fds);
	if (s->clerk->layers)
		add_box(list, "clerk", 0, s->clerk->layers, 0);
	return json_pack("{sb so}", "insecure", s->box->insecure, "processes",
			 list);
}

/* "uid": null: all that have no number of their own. */
static json_t *callers_json(const struct jt_status *s)
{
	struct jt_peer_row rows[JT_PEERS_MAX];
	unsigned n = jt_peers_sum(s->maps, rows);
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++) {
		const struct jt_peer_row *r = &rows[i];

		json_array_append_new(
			list,
			json_pack(
				"{so sI sI sI sI}", "uid",
				r->uid ? json_integer((json_int_t)(r->uid - 1))
				       : json_null(),
				"connections", (json_int_t)r->connections,
				"admitted", (json_int_t)r->admitted, "refused",
				(json_int_t)r->refused, "busy",
				(json_int_t)r->busy));
	}
	return list;
}

static json_t *verdicts_json(const struct jt_stats *t)
{
	json_t *map = json_object();

	for (unsigned i = 0; i < JT_WORDS_N; i++)
		json_object_set_new(map, jt_word_name(i),
				    json_integer((json_int_t)t->verdicts[i]));
	return map;
}

/* "expiring": {"1": n, "7": n ...}: within so many days; "expired": n. */
static void add_expiring(const struct jt_status *s, json_t *o)
{
	struct jt_expiring e;
	json_t *map = json_object();
	char key[16];

	jt_ledger_expiring(&s->feed->ledger, jt_io_os.wall_ns() / NS_PER_S, &e);
	for (unsigned i = 0; i < JT_EXPIRING_N; i++) {
		snprintf(key, sizeof(key), "%u", jt_expiring_days[i]);
		json_object_set_new(map, key,
				    json_integer((json_int_t)e.within[i]));
	}
	json_object_set_new(o, "expiring", map);
	json_object_set_new(o, "expired", json_integer((json_int_t)e.over));
}

static void add_table(const struct jt_status *s, json_t *o,
		      const struct jt_stats *t)
{
	/* of the meters only those that the table has room for are there */
	uint64_t shared_bytes = s->maps->identity_bytes +
				jt_segment_meters_end(s->maps->capacity);
	/* at start it may have had to be more */
	uint64_t capacity_max = s->growth->capacity_max > t->capacity
					? s->growth->capacity_max
					: t->capacity;
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{"applied", s->feed->applied},
		{"committed", s->feed->journal.committed.number},
		{"tokens", t->tokens},
		{"capacity", t->capacity},
		{"capacity_max", capacity_max},
		{"growths", s->growth->n_done},
		{"slots", t->slots},
		{"slots_used", t->slots_used},
		{"plans", s->feed->ledger.plans.n},
		{"pending_revokes", s->denials ? s->denials->n : 0},
		{"shared_bytes", shared_bytes},
		{"large_page_bytes",
		 s->maps->large_bytes + s->maps->meters_large_bytes},
		{"bytes_per_token", shared_bytes / t->capacity},
		{"policies", s->settings->n_policies},
		{"peers", s->settings->n_rules},
		{"uptime_s", t->uptime_s},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(o, numbers[i].name,
				    json_integer((json_int_t)numbers[i].value));
}

/* Percent; null: the table does not grow now. */
static json_t *growing_json(const struct jt_growth *g)
{
	return jt_growth_busy(g)
		       ? json_integer((json_int_t)jt_growth_percent(g))
		       : json_null();
}

static uint64_t age_s(uint64_t since_s)
{
	uint64_t now_s = jt_io_os.wall_ns() / NS_PER_S;

	return now_s > since_s ? now_s - since_s : 0;
}

/*
 * Where this start's state came from, and the snapshot that the next one would
 * find; "number" 0: none.
 */
static json_t *snapshot_json(const struct jt_clerk *c)
{
	static const char *const jobs[] = {
		[JT_CLERK_IDLE] = "",
		[JT_CLERK_SAVE] = "writing",
		[JT_CLERK_CHECK] = "checking",
	};

	return json_pack("{ss sI sI ss sI sI ss}", "start",
			 c->from ? "snapshot" : "journal", "start_number",
			 (json_int_t)(c->from ? c->base.h.number : 0),
			 "start_age_s",
			 (json_int_t)(c->from ? age_s(c->base.h.written_s) : 0),
			 "checked", c->from ? jt_clerk_word(c) : "yes",
			 "number", (json_int_t)c->number, "age_s",
			 (json_int_t)(c->number ? age_s(c->written_s) : 0),
			 "work", jobs[c->job]);
}

/* JSON takes only UTF-8; a path may be anything, a line may be cut. */
static const char *printable(const char *text, char *buf, size_t max)
{
	size_t i;

	for (i = 0; i < max - 1 && text[i]; i++)
		buf[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	buf[i] = '\0';
	return buf;
}

/* What the kernel lets workers do with their rings. */
static const char *ring_word(const struct jt_status *s)
{
	bool restricted = true;

	if (s->crew->args.backend == JT_BACKEND_EPOLL)
		return "none";
	for (unsigned i = 0; i < s->crew->args.n_workers; i++)
		restricted &=
			jt_load_relaxed(
				&s->maps->board[s->crew->args.first_desk + i]
					 .backend) == JT_DESK_URING_RESTRICTED;
	return restricted ? "restricted" : "not restricted";
}

void jt_status_write(const struct jt_status *s, char *buf, size_t max)
{
	char id[33], data[PATH_MAX], run[PATH_MAX], line[512];
	struct jt_stats t;
	json_t *o;
	size_t n;

	jt_stats_sum(s->maps, s->uptime_s, &t);
	sodium_bin2hex(id, sizeof(id), s->feed->journal.id,
		       sizeof(s->feed->journal.id));
	o = json_pack("{ss sI sI ss ss ss ss ss ss ss ss}", "version",
		      JT_VERSION, "scribe", (json_int_t)s->crew->scribe.pid,
		      "pid", (json_int_t)getpid(), "state",
		      s->serving ? "serving" : "loading", "health",
		      s->why ? "red" : "ok", "why",
		      printable(s->why ? s->why : "", line, sizeof(line)),
		      "data", printable(s->paths->data, data, sizeof(data)),
		      "run", printable(s->paths->run, run, sizeof(run)),
		      "backend", jt_backend_name(s->crew->args.backend),
		      "journal_id", id, "usage", s->usage_why);
	json_object_set_new(o, "ring", json_string(ring_word(s)));
	add_table(s, o, &t);
	json_object_set_new(o, "growing", growing_json(s->growth));
	add_expiring(s, o);
	json_object_set_new(
		o, "settings",
		json_string(printable(s->settings_why, line, sizeof(line))));
	json_object_set_new(o, "snapshot", snapshot_json(s->clerk));
	json_object_set_new(o, "sandbox", sandbox_json(s));
	json_object_set_new(o, "workers", workers_json(s));
	json_object_set_new(o, "callers", callers_json(s));
	json_object_set_new(o, "verdicts", verdicts_json(&t));
	n = json_dumpb(o, buf, max - 1, JSON_COMPACT);
	buf[n < max ? n : 0] = '\0'; /* n >= max: 63 workers never get there */
	json_decref(o);
}
