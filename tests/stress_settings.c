/*
 * stress_settings: settings published while workers follow them.
 *
 * All numbers of one publication are the same, drawn out of its order; so a
 * copy that a hand has taken is whole, or shows that it is not. Publications
 * come in bursts: a reader who is away for two of them meets a copy that is
 * being written for the second time. Never does a hand see an older one than
 * before, and when all is quiet it has the last.
 */
#include "sidecar/settings.h"
#include "tests/stress.h"

#define HANDS 3u
#define BURST 8u

struct test {
	struct stress *s;
	struct jt_segment_fds fds;
	struct jt_maps maps;
	_Atomic uint64_t written, over;
	_Atomic uint64_t taken[HANDS];
};

static struct test *set_up(struct stress *s)
{
	const struct jt_segment_size size = {
		.capacity = 64, .pool_bytes = JT_PAGE, .prefix = "jt"};
	struct test *t = stress_shared(sizeof(*t));
	const uint8_t id[16] = {1};
	int rc = jt_segment_create(&size, id, &t->fds, &t->maps);

	if (rc)
		stress_die("jt_segment_create", rc);
	t->s = s;
	return t;
}

static void fill(struct jt_settings *to, uint32_t n)
{
	to->n_policies = JT_POLICIES_MAX;
	to->n_rules = JT_RULES_MAX;
	for (unsigned i = 0; i < JT_POLICIES_MAX; i++)
		to->policies[i].cost = n;
	for (unsigned i = 0; i < JT_RULES_MAX; i++)
		to->rules[i].connections_max = n;
}

static bool is_whole(const struct jt_settings *mine)
{
	uint32_t n = mine->policies[0].cost;

	if (mine->n_policies != JT_POLICIES_MAX ||
	    mine->n_rules != JT_RULES_MAX)
		return false;
	for (unsigned i = 0; i < JT_POLICIES_MAX; i++)
		if (mine->policies[i].cost != n)
			return false;
	for (unsigned i = 0; i < JT_RULES_MAX; i++)
		if (mine->rules[i].connections_max != n)
			return false;
	return true;
}

static void follow(struct stress_hand *hand)
{
	struct test *t = hand->ctx;
	struct jt_settings *mine = calloc(1, sizeof(*mine));
	uint64_t generation = 0, random = stress_hand_seed(hand), last = 0;
	struct jt_maps own = t->maps; /* what TSan watches */
	bool over = false;

	if (hand->s->processes && jt_segment_map(&t->fds, &own))
		stress_die("jt_segment_map", 1);
	if (!mine)
		stress_die("calloc", -ENOMEM);
	while (!over) {
		/* the last round begins after the last publication */
		over = jt_load_acquire(&t->over);
		if (!jt_settings_follow(&own, &generation, mine))
			continue;
		stress_count(t->s, 1);
		jt_add_relaxed(&t->taken[hand->number], 1); /* a counter */
		if (!is_whole(mine))
			stress_fail(t->s,
				    "hand %u: a mixture at generation "
				    "%" PRIu64,
				    hand->number, generation);
		if (mine->policies[0].cost < last)
			stress_fail(t->s, "hand %u: an older one again",
				    hand->number);
		last = mine->policies[0].cost;
		if (stress_below(&random, 4) == 0)
			stress_sleep_ns(stress_below(&random, 200000));
	}
	if (last != jt_load_acquire(&t->written))
		stress_fail(t->s, "hand %u: the last one did not arrive",
			    hand->number);
	free(mine);
}

static void publish_on(struct test *t)
{
	struct jt_settings *next = calloc(1, sizeof(*next));
	uint64_t random = t->s->seed;
	uint32_t n = 0;

	if (!next)
		stress_die("calloc", -ENOMEM);
	while (stress_goes_on(t->s)) {
		for (uint64_t i = stress_below(&random, BURST); i > 0; i--) {
			fill(next, ++n);
			jt_settings_publish(&t->maps, next);
		}
		stress_sleep_ns(stress_below(&random, 300000));
	}
	jt_store_release(&t->written, n); /* pairs with loads in follow() */
	jt_store_release(&t->over, 1);
	free(next);
}

int main(int argc, char **argv)
{
	struct stress_hand hands[HANDS];
	struct stress s;
	struct test *t;

	stress_begin(&s, "stress_settings", 3, argc, argv, NULL);
	t = set_up(&s);
	stress_start(&s, hands, HANDS, t, follow);
	publish_on(t);
	stress_join(&s, hands, HANDS);
	for (unsigned i = 0; i < HANDS; i++)
		if (jt_load_relaxed(&t->taken[i]) < 10) /* all ended */
			stress_fail(&s, "hand %u took too few to tell", i);
	return stress_end(&s);
}
