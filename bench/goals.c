/* goals: see goals.h. */
#include "bench/goals.h"

#include <string.h>

const struct jt_goal jt_goals[] = {
	{"cpu_p1_floor",
	 "pipeline 1, 50 connections: server CPU per request / floor", "run",
	 1.30, 1.12, true, false},
	{"rate_p1_get", "pipeline 1, 50 connections: throughput / Redis GET",
	 "run", 1.0, 1.15, false, false},
	{"rate_p64_get",
	 "pipeline 64: throughput / Redis GET on as many existing keys", "run",
	 4, 6, false, false},
	{"rate_p64_eval",
	 "pipeline 64: throughput / Redis EVALSHA of equal work", "run", 25, 35,
	 false, false},
	{"rate_p64_floor", "pipeline 64: throughput / floor", "run", 0.45, 0.6,
	 false, false},
	{"open_p99_get",
	 "open loop, pipeline 16, at 70 % of Redis' saturation: p99 / Redis "
	 "p99",
	 "run", 0.7, 0.3, true, false},
	{"single_dram",
	 "in process, single, random token of 10^6: time / (one SipHash + one "
	 "dependent read)",
	 "table", 2.2, 1.4, true, false},
	{"batch_single",
	 "in process, 10^7 tokens: rate in batches of 32 / single loop",
	 "table", 2, 4, false, false},
	{"socket_inprocess",
	 "p50 over the own socket (1 connection) / p50 in process", "inprocess",
	 50, 100, false, false},
	{"rate_unknown_valid", "100 % unknown tokens / 100 % valid, throughput",
	 "run", 1.0, 1.2, false, false},
	{"hot_two", "one hot token: rate of two in-process verifiers / of one",
	 "table", 1.2, 1.7, false, false},
	{"admitted_beyond", "admitted beyond the limit, all runs (a count)",
	 "run, table", 0, 0, true, true},
	{"p99_mutations",
	 "p99 during 100,000 mutations/s / same load beside an unrelated "
	 "process burning equal CPU",
	 "mutate", 1.3, 1.05, true, false},
	{"batched_1e8_1e5",
	 "cost of a batched look-up at 10^8 / at 10^5 tokens", "table", 4, 2.5,
	 true, false},
	{"bytes_per_token",
	 "shared memory per token at full load (identity + meter), bytes",
	 "table", 175, 160, true, false},
	{"restart_journal",
	 "restart to serving, 10^7 tokens, from journal / Redis loading the "
	 "same data from RDB",
	 "restart", 0.6, 0.3, true, false},
	{"restart_snapshot_s",
	 "restart to serving, 10^7 tokens, from snapshot, seconds", "restart",
	 2, 0.8, true, false},
};
const size_t jt_n_goals = sizeof(jt_goals) / sizeof(jt_goals[0]);

const struct jt_goal *jt_goal_find(const char *key)
{
	for (size_t i = 0; i < jt_n_goals; i++)
		if (strcmp(jt_goals[i].key, key) == 0)
			return &jt_goals[i];
	return NULL;
}

static bool meets(const struct jt_goal *g, double value, double bound)
{
	return g->least ? value <= bound : value >= bound;
}

const char *jt_goal_judge(const struct jt_goal *g, double value)
{
	if (meets(g, value, g->aim))
		return "aim reached";
	return meets(g, value, g->must) ? "reached" : "NOT reached";
}
