/*
 * peers: see peers.h.
 *
 *   maps->peers[number]        uid + 1 | meter line      shared by all workers
 *   maps->calls[desk][number]  connections and counts    one writer each
 *
 * Numbers. A free entry is claimed by one compare-and-swap, and entries are
 * tried in the same order by everybody, so a uid gets one number whoever meets
 * it first, and nobody ever waits.
 *
 * Connections. A worker counts itself up first and adds up all desks then,
 * both sequentially consistent: of two workers that take the last place at
 * once, one at least sees the other. Both may be refused; never are there too
 * many. The keeper takes off what a dead worker held (crew.c).
 *
 * Refusals. They are known only after the look-up, so a round may cause more
 * than were left. The meter is therefore looked at with a burst of one second's
 * worth, but charged up to one more: what went beyond is a debt, and has to
 * melt before anything is looked up again. What goes beyond even that is
 * forgiven, so that nobody is shut out for longer than that second.
 *
 * Meters are written by every worker, so nothing here is believed beyond its
 * purpose: a worker that lies can shut callers out or let them in, no more.
 */
#include "sidecar/peers.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define NS_PER_S 1000000000ull
#define TRIES 8u

void jt_peers_init(struct jt_peers *p, const struct jt_maps *maps,
		   unsigned desk)
{
	memset(p, 0, sizeof(*p));
	p->maps = maps;
	p->calls = &maps->calls[(size_t)desk * JT_PEERS_MAX];
	jt_settings_default(&p->settings);
}

void jt_peers_follow(struct jt_peers *p)
{
	jt_settings_follow(p->maps, &p->generation, &p->settings);
}

/* ---- who ---- */

static uint32_t number_of(struct jt_peer *peers, uint32_t uid)
{
	uint64_t want = (uint64_t)uid + 1, is;

	if (uid == UINT32_MAX)
		return 0;
	for (uint32_t i = 1; i < JT_PEERS_MAX; i++) {
		/* relaxed: the word stands alone */
		is = jt_load_relaxed(&peers[i].uid);
		/* a try may fail for no reason (arm64); pairs with any other */
		for (unsigned try = 0; is == 0 && try < TRIES; try++)
			if (jt_swap_if(&peers[i].uid, &is, want))
				return i;
		if (is == want)
			return i;
	}
	return 0;
}

static bool asks_for_groups(const struct jt_settings *s)
{
	for (uint32_t i = 0; i < s->n_rules; i++)
		if (s->rules[i].match == JT_RULE_GID)
			return true;
	return false;
}

const struct jt_rule *jt_peers_look_up(struct jt_peers *p, struct jt_caller *c)
{
	socklen_t bytes = sizeof(p->groups);

	/* not kept: there may be 65,536, and rules change seldom */
	if (!asks_for_groups(&p->settings) ||
	    getsockopt(c->fd, SOL_SOCKET, SO_PEERGROUPS, p->groups, &bytes))
		bytes = 0;
	c->rule = jt_settings_rule(&p->settings, c->uid, c->gid, p->groups,
				   bytes / sizeof(p->groups[0]));
	c->generation = p->generation;
	return c->rule;
}

void jt_peers_confine(struct jt_ask *ask, const struct jt_rule *rule)
{
	if (!rule->n_envs)
		return;
	ask->envs = rule->envs;
	ask->n_envs =
		(uint8_t)(rule->n_envs < JT_RULE_ENVS_MAX ? rule->n_envs
							  : JT_RULE_ENVS_MAX);
}

/* ---- connections ---- */

static bool has_too_many(const struct jt_maps *maps, uint32_t number,
			 uint32_t most)
{
	uint64_t sum = 0;

	for (unsigned desk = 0; desk < JT_WORKERS_MAX; desk++)
		/* pairs with the stores of others who join */
		sum += jt_load_seq(
			&maps->calls[desk * JT_PEERS_MAX + number].connections);
	return sum > most;
}

int jt_peers_admit(struct jt_peers *p, int fd, struct jt_caller *c)
{
	struct jt_calls *calls;
	struct ucred cred;
	socklen_t bytes = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes))
		return -errno;
	*c = (struct jt_caller){.fd = fd, .uid = cred.uid, .gid = cred.gid};
	c->number = number_of(p->maps->peers, c->uid);
	calls = &p->calls[c->number];
	/* relaxed: our own word; the store pairs with has_too_many() */
	jt_store_seq(&calls->connections,
		     jt_load_relaxed(&calls->connections) + 1);
	return 0;
}

int jt_peers_join(struct jt_peers *p, int fd, struct jt_caller *c)
{
	const struct jt_rule *rule;
	int rc = jt_peers_admit(p, fd, c);

	if (rc)
		return rc;
	rule = jt_peers_rule(p, c);
	if (!rule->connections_max ||
	    !has_too_many(p->maps, c->number, rule->connections_max))
		return 0;
	jt_peers_leave(p, c);
	jt_count(&p->calls[c->number].busy, 1);
	return JT_PEERS_E_BUSY;
}

void jt_peers_leave(struct jt_peers *p, const struct jt_caller *c)
{
	struct jt_calls *calls = &p->calls[c->number];
	/* relaxed: our own word, though others could have written it */
	uint64_t n = jt_load_relaxed(&calls->connections);

	jt_store_seq(&calls->connections, n ? n - 1 : 0);
}

/* ---- refusals ---- */

static struct jt_bounds refusals_in(uint64_t per_s, uint64_t seconds)
{
	return (struct jt_bounds){
		.interval_ns = jt_meter_interval_ns(per_s, NS_PER_S),
		.burst = per_s * seconds,
	};
}

bool jt_peers_spent(const struct jt_peers *p, const struct jt_caller *c,
		    struct jt_now now)
{
	struct jt_bounds bounds = refusals_in(c->rule->refusals_per_s, 1);
	struct jt_meter_state state;

	jt_meter_take(&p->maps->peers[c->number].refusals, &bounds, 0, now,
		      &state);
	return state.remaining == 0;
}

/* All N, or as many as there is room for. noinline: it is not for each round.
 */
__attribute__((noinline)) static void charge(const struct jt_peers *p,
					     const struct jt_caller *c,
					     uint64_t n, struct jt_now now)
{
	struct jt_bounds bounds = refusals_in(c->rule->refusals_per_s, 2);
	struct jt_meter *meter = &p->maps->peers[c->number].refusals;
	struct jt_meter_state state;

	for (unsigned try = 0; n && try < TRIES; try++) {
		if (jt_meter_take(meter, &bounds, n, now, &state) ==
		    JT_METER_ADMITTED)
			return;
		n = n < state.remaining ? n : state.remaining;
	}
}

void jt_peers_tell(struct jt_peers *p, const struct jt_caller *c,
		   const struct jt_peer_share *share, struct jt_now now)
{
	struct jt_calls *calls = &p->calls[c->number];

	if (share->admitted)
		jt_count(&calls->admitted, share->admitted);
	if (share->busy)
		jt_count(&calls->busy, share->busy);
	if (!share->refused)
		return;
	jt_count(&calls->refused, share->refused);
	if (c->rule->refusals_per_s)
		charge(p, c, share->refused, now);
}

/* ---- what they had ---- */

static struct jt_peer_row row_of(const struct jt_maps *maps, uint32_t number)
{
	struct jt_peer_row row = {0};

	for (unsigned desk = 0; desk < JT_WORKERS_MAX; desk++) {
		const struct jt_calls *c =
			&maps->calls[desk * JT_PEERS_MAX + number];

		/* relaxed: statistics, each word on its own */
		row.connections += jt_load_relaxed(&c->connections);
		row.admitted += jt_load_relaxed(&c->admitted);
		row.refused += jt_load_relaxed(&c->refused);
		row.busy += jt_load_relaxed(&c->busy);
	}
	/* relaxed: the word stands alone; that of number 0 is never claimed */
	row.uid = number ? jt_load_relaxed(&maps->peers[number].uid) : 0;
	return row;
}

unsigned jt_peers_sum(const struct jt_maps *maps,
		      struct jt_peer_row rows[JT_PEERS_MAX])
{
	unsigned n = 0;

	for (uint32_t i = 0; i < JT_PEERS_MAX; i++) {
		rows[n] = row_of(maps, i);
		if (rows[n].uid ||
		    (i == 0 && (rows[n].connections | rows[n].admitted |
				rows[n].refused | rows[n].busy)))
			n++;
	}
	return n;
}
