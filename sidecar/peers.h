/*
 * peers: callers on this host, told apart by uid: what one may do, how much,
 * and what it had.
 *
 * Pure but for accepting: a system call is made when a connection joins, and
 * once more for each connection after the rules have changed, if they ask for
 * groups; none while verifying. Any worker; one struct jt_peers each.
 *
 *   follow, once a round - join at accept - rule, spent, tell per round - leave
 *
 * A caller's number is its place in maps->peers: claimed when that uid first
 * comes, never given back before the daemon ends. Number 0 is all that find no
 * place, and who has no uid (TCP): they share its counts and limits.
 */
#ifndef JT_SIDECAR_PEERS_H
#define JT_SIDECAR_PEERS_H

#include "shm/verify.h"
#include "sidecar/settings.h"
#include <limits.h>

enum {
	JT_PEERS_E_BUSY = 1, /* it has all the connections that it may have */
};

/* One connection's caller. */
struct jt_caller {
	int fd;
	uint32_t uid, gid;
	uint32_t number;
	/* of the settings that `rule` was taken from; see jt_peers_rule() */
	uint64_t generation;
	const struct jt_rule *rule;
};

struct jt_peers {
	const struct jt_maps *maps;
	struct jt_calls *calls; /* [JT_PEERS_MAX], our desk's */
	uint64_t generation;
	struct jt_settings settings;
	uint32_t groups[NGROUPS_MAX]; /* of whom we look at */
};

/* What one connection had of one round. */
struct jt_peer_share {
	uint64_t admitted, refused;
	uint64_t busy; /* commands that were not looked at */
};

/* MAPS outlive it; DESK is the worker's number. */
void jt_peers_init(struct jt_peers *peers, const struct jt_maps *maps,
		   unsigned desk);

/* Have the newest settings from now on. Once a round, before anything else. */
void jt_peers_follow(struct jt_peers *peers);

/*
 * Who is at the other end of FD, which stays open until it leaves? It is
 * counted as a connection from now on. 0; JT_PEERS_E_BUSY: it is not, and was
 * counted as busy; negative errno: nobody is.
 */
int jt_peers_join(struct jt_peers *peers, int fd, struct jt_caller *callerp);
/* The same for one that was let in elsewhere: however many there are. */
int jt_peers_admit(struct jt_peers *peers, int fd, struct jt_caller *callerp);
void jt_peers_leave(struct jt_peers *peers, const struct jt_caller *caller);

/* Under today's settings. Never NULL; until the next jt_peers_follow(). */
const struct jt_rule *jt_peers_look_up(struct jt_peers *peers,
				       struct jt_caller *caller);
static inline const struct jt_rule *jt_peers_rule(struct jt_peers *peers,
						  struct jt_caller *caller)
{
	if (caller->rule && caller->generation == peers->generation)
		return caller->rule;
	return jt_peers_look_up(peers, caller);
}

/* Only about tokens that the rule lets it ask about; RULE outlives ASK. */
void jt_peers_confine(struct jt_ask *ask, const struct jt_rule *rule);

/*
 * Has it had all the refusals that it may have, at all workers together? For
 * who has such a limit only, once a connection and round.
 */
bool jt_peers_spent(const struct jt_peers *peers,
		    const struct jt_caller *caller, struct jt_now now);

/* Count what it had, and take the refusals from its limit. */
void jt_peers_tell(struct jt_peers *peers, const struct jt_caller *caller,
		   const struct jt_peer_share *share, struct jt_now now);

/* For jt_ask.by. */
static inline uint64_t jt_caller_by(const struct jt_caller *caller)
{
	return (uint32_t)(caller->uid + 1); /* -1 is the uid of who has none */
}

/* One caller, all workers together. */
struct jt_peer_row {
	uint64_t uid; /* + 1; 0: all callers of number 0 */
	uint64_t connections, admitted, refused, busy;
};

/* Rows of those who ever came; number 0, if there is something, first. */
unsigned jt_peers_sum(const struct jt_maps *maps,
		      struct jt_peer_row rows[JT_PEERS_MAX]);

#endif
