/*
 * goals: what jeton must reach, and aims at. Ratios but where the words say
 * otherwise; each is found by one of the verbs, under its key.
 */
#ifndef JT_BENCH_GOALS_H
#define JT_BENCH_GOALS_H

#include <stdbool.h>
#include <stddef.h>

struct jt_goal {
	const char *key;
	const char *words;
	const char *verb; /* that measures it */
	double must, aim;
	bool least; /* the less the better */
	bool sums;  /* of all runs together */
};

extern const struct jt_goal jt_goals[];
extern const size_t jt_n_goals;

const struct jt_goal *jt_goal_find(const char *key);

/* "aim reached", "reached", "NOT reached" */
const char *jt_goal_judge(const struct jt_goal *g, double value);

#endif
