/*
 * command_info: INFO, STATS, CONFIG GET.
 *
 * INFO's keys are those of Redis where the meaning is the same, because
 * clients wait for `loading:0` and tools plot `connected_clients`; the rest
 * are names of JT_STATS.
 */
#include "sidecar/command_table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INFO_MAX 12288u /* a peer's line may have 160 bytes */

static_assert(4096 + 160 * JT_PEERS_MAX <= INFO_MAX &&
		      INFO_MAX + 64 <= JT_REPLY_MAX,
	      "all sections, and what stands around them");

static void collect(const struct jt_call *call, struct jt_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	call->service->stats(call->service->ctx, stats);
}

const char *jt_run_stats(const struct jt_call *call)
{
	struct jt_out *out = call->out;
	struct jt_stats stats;
	size_t n_pairs = 0;

	collect(call, &stats);
#define X(name) n_pairs++;
	JT_STATS(X)
#undef X
	jt_out_map(out, n_pairs + JT_WORDS_N);
#define X(name)                                                                \
	jt_out_text(out, #name);                                               \
	jt_out_integer(out, (int64_t)stats.name);
	JT_STATS(X)
#undef X
#define X(name, status)                                                        \
	jt_out_text(out, "verdict_" #name);                                    \
	jt_out_integer(out, (int64_t)stats.verdicts[JT_##name]);
	JT_WORDS(X)
#undef X
	return NULL;
}

struct text {
	const char *backend; /* NULL: not told */
	char at[INFO_MAX];
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t,
						      const char *format, ...)
{
	size_t left = sizeof(t->at) - t->n;
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(t->at + t->n, left, format, list);
	va_end(list);
	if (n > 0 && (size_t)n < left)
		t->n += (size_t)n;
}

static void add_number(struct text *t, const char *name, uint64_t value)
{
	add(t, "%s:%" PRIu64 "\r\n", name, value);
}

static void add_server(struct text *t, const struct jt_stats *s, bool loading)
{
	add(t, "# Server\r\nserver_name:jeton\r\njeton_version:%s\r\n",
	    JT_VERSION);
	add(t, "redis_mode:standalone\r\n");
	add_number(t, "process_id", (uint64_t)getpid());
	add_number(t, "uptime_in_seconds", s->uptime_s);
	add_number(t, "workers", s->workers);
	if (t->backend)
		add(t, "backend:%s\r\n", t->backend);
}

static void add_clients(struct text *t, const struct jt_stats *s, bool loading)
{
	add(t, "# Clients\r\n");
	add_number(t, "connected_clients", s->connections);
	add_number(t, "blocked_clients", 0);
}

static void add_persistence(struct text *t, const struct jt_stats *s,
			    bool loading)
{
	add(t, "# Persistence\r\n");
	add_number(t, "loading", loading);
	add_number(t, "applied_number", s->applied_number);
}

static void add_stats(struct text *t, const struct jt_stats *s, bool loading)
{
	add(t, "# Stats\r\n");
	add_number(t, "total_connections_received", s->accepted);
	add_number(t, "rejected_connections", s->busy);
	add_number(t, "total_commands_processed", s->commands);
	add_number(t, "total_net_input_bytes", s->bytes_in);
	add_number(t, "total_net_output_bytes", s->bytes_out);
	add_number(t, "slow_closed", s->slow_closed);
	add_number(t, "protocol_errors", s->protocol_errors);
	add_number(t, "memo_hits", s->memo_hits);
	add_number(t, "memo_misses", s->memo_misses);
	add_number(t, "torn", s->torn);
#define X(name, status) add_number(t, "verdict_" #name, s->verdicts[JT_##name]);
	JT_WORDS(X)
#undef X
}

static void add_table(struct text *t, const struct jt_stats *s, bool loading)
{
	add(t, "# Table\r\n");
	add_number(t, "tokens", s->tokens);
	add_number(t, "capacity", s->capacity);
	add_number(t, "slots", s->slots);
	add_number(t, "slots_used", s->slots_used);
}

/* A caller a line, as Redis does with databases; for all without a number of
 * their own, peer_others. */
static void add_peers(struct text *t, const struct jt_call *call)
{
	struct jt_peer_row rows[JT_PEERS_MAX];
	unsigned n = call->service->peers(call->service->ctx, rows);

	add(t, "# Peers\r\n");
	for (unsigned i = 0; i < n; i++) {
		if (rows[i].uid)
			add(t, "peer_%" PRIu64, rows[i].uid - 1);
		else
			add(t, "peer_others");
		add(t,
		    ":connections=%" PRIu64 ",admitted=%" PRIu64
		    ",refused=%" PRIu64 ",busy=%" PRIu64 "\r\n",
		    rows[i].connections, rows[i].admitted, rows[i].refused,
		    rows[i].busy);
	}
}

static const struct {
	const char *name;
	void (*add)(struct text *t, const struct jt_stats *s, bool loading);
} sections[] = {
	{"server", add_server},
	{"clients", add_clients},
	{"persistence", add_persistence},
	{"stats", add_stats},
	{"table", add_table},
};

static bool wants(const struct jt_call *call, const char *section)
{
	static const char *const whole[] = {"all", "default", "everything"};

	for (size_t i = 1; i < call->n_args; i++) {
		if (jt_command_is(call->args[i], section))
			return true;
		for (size_t j = 0; j < sizeof(whole) / sizeof(*whole); j++)
			if (jt_command_is(call->args[i], whole[j]))
				return true;
	}
	return call->n_args == 1;
}

const char *jt_run_info(const struct jt_call *call)
{
	bool loading = call->service->loading(call->service->ctx);
	struct jt_stats stats;
	struct text t;

	t.n = 0;
	t.backend = call->service->backend;
	collect(call, &stats);
	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		if (!wants(call, sections[i].name))
			continue;
		if (t.n)
			add(&t, "\r\n");
		sections[i].add(&t, &stats, loading);
	}
	if (wants(call, "peers")) {
		if (t.n)
			add(&t, "\r\n");
		add_peers(&t, call);
	}
	jt_out_verbatim(call->out, t.at, t.n);
	return NULL;
}

/* redis-benchmark asks for these two and warns without an answer. */
static const char *const config[][2] = {
	{"save", ""},
	{"appendonly", "no"},
};
#define N_CONFIG (sizeof(config) / sizeof(*config))

const char *jt_run_config_get(const struct jt_call *call)
{
	bool asked[N_CONFIG] = {false};
	size_t n = 0;

	for (size_t i = 2; i < call->n_args; i++)
		for (size_t j = 0; j < N_CONFIG; j++)
			asked[j] |= jt_command_is(call->args[i], config[j][0]);
	for (size_t j = 0; j < N_CONFIG; j++)
		n += asked[j];
	jt_out_map(call->out, n);
	for (size_t j = 0; j < N_CONFIG; j++) {
		if (!asked[j])
			continue;
		jt_out_text(call->out, config[j][0]);
		jt_out_text(call->out, config[j][1]);
	}
	return NULL;
}
