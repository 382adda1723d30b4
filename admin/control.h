/*
 * control: the words between the admin tool and a running keeper.
 *
 * Socket `jeton-control.sock` (mode 0600) in the run directory; its path also
 * stands in DATA/serving.lock, which the keeper holds locked while it serves.
 * One request line, one reply line, both ended by '\n', at most
 * JT_CONTROL_LINE bytes; any number of requests on one connection, in order.
 *
 *   SYNC number             OK applied        once every record up to number
 *                                             is in force
 *   FIT at tokens values plans owner_bytes
 *                           OK                the table, having applied `at`,
 *                                             takes that many more
 *   LIMIT at rate period_ns burst quota unit minutes
 *                           OK number next    number 0: no such limits without
 *                                             a name; next: the number that
 *                                             new ones get, 0: no more
 *   PLAN at name            OK number removed number 0: no plan of that name
 *   SCOPE at name           OK number next
 *   SET at hex              OK number next    64 hex digits: the set's bits
 *   PAIR at plan own        OK known          1: FIT need not count that pair
 *   USERS at plan           OK tokens pairs   that have it and are not
 *                                             revoked; pairs PAIR knows of it
 *   NAMES set               OK name ...       of the scopes in that set
 *   LOOK id                 OK first last plan own set uses refusals
 *                              last_use_s old_use_s quota d d d d by
 *                                             record numbers of the id's first
 *                                             and newest record, of its plan
 *                                             and its own limits (0: none), its
 *                                             scope set, then its meter's
 *                                             words, the digest of the value
 *                                             before, zeros: none, and uid + 1
 *                                             of who last used that value, 0:
 *                                             unknown, as after a restart
 *   SAVE                    OK                once all uses counted before are
 *                                             in the file `usage`, flushed
 *   TOP n                   OK span_ms used refused, then so many rows of
 *                              last uses refusals more_uses more_refusals
 *                                             the n most used and most refused
 *                                             ids: record number, counts, and
 *                                             what came within the span
 *   DENY id [reason]        OK                revoked at every worker and for
 *                                             good, before the journal knows;
 *                                             FULL: so it is, but nobody will
 *                                             tell the journal
 *   DENIED                  OK n m            flush: n such revokes wait for
 *                                             the journal, m of them would not
 *                                             outlive the keeper
 *   PENDING from            OK clock_s next id ...
 *                                             the time by which expiry goes
 *                                             if the clock is behind it, and
 *                                             of such revokes the from-th and
 *                                             on; from next on there are more,
 *                                             unless no id was told
 *   UPGRADE                 OK pid version    once another keeper, started
 *                                             from the program's file, serves
 *                                             in this one's stead
 *   STATUS                  OK {...}          one line of JSON
 *
 * Refusals: "ERR WORD sentence"; WORD is FULL, GROWING (FIT: there will be
 * room, ask again), NOTFOUND, RED (the journal cannot be trusted or flushed;
 * the sentence says why), TIMEOUT or USAGE.
 */
#ifndef JT_ADMIN_CONTROL_H
#define JT_ADMIN_CONTROL_H

#include "admin/limits.h"
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define JT_CONTROL_NAME "jeton-control.sock"
#define JT_SERVING_NAME "serving.lock"
#define JT_CONTROL_LINE 16384

enum {
	JT_CONTROL_E_NOT_SERVING = 1, /* no keeper holds the serving lock */
	JT_CONTROL_E_UNREACHABLE,     /* a keeper serves but does not answer */
	JT_CONTROL_E_FULL,
	JT_CONTROL_E_NOTFOUND,
	JT_CONTROL_E_REFUSED, /* RED, TIMEOUT, USAGE: see the line */
	JT_CONTROL_E_GROWING,
};

/* So long FIT is asked again while the table grows, and how often. */
#define JT_CONTROL_GROWING_MS 120000u
#define JT_CONTROL_GROWING_STEP_MS 10

struct jt_control {
	int fd;
	const char *data;    /* whose keeper; NULL: none is asked again */
	unsigned timeout_ms; /* for each reply */
	bool hung_up;	     /* before it answered a word */
	char line[JT_CONTROL_LINE]; /* last reply, or why there was none */
};

struct jt_look {
	uint64_t first, last, plan, own, set;
	uint64_t uses, refusals, last_use_s, old_use_s, quota;
	uint64_t old_digest[4]; /* of the value before; zeros: none */
	uint64_t old_use_by;	/* uid + 1; 0: unknown */
};

/*
 * The keeper looks at all counts at most twice a second, whoever asks, and
 * tells everybody the same; the span is 0 when it had not looked for long.
 */
#define JT_TOP_ROWS 32
struct jt_top_row {
	uint64_t last; /* number of the id's newest record */
	uint64_t uses, refusals;
	uint64_t more_uses, more_refusals; /* within the span */
};
struct jt_top {
	uint64_t span_ms;
	uint64_t n_used, n_refused;
	struct jt_top_row used[JT_TOP_ROWS], refused[JT_TOP_ROWS];
};

/* Room that FIT asks for: values are those of new tokens and of rotations. */
struct jt_room {
	uint64_t tokens, values, plans, owner_bytes;
};

/*
 * Connect to the keeper that serves DATA: its lock file says where, whatever
 * run directory the caller was given, so that nobody asks the keeper of
 * another journal. Not serving is E_NOT_SERVING; a socket that somebody else
 * than root, the caller or DATA's owner listens at is E_UNREACHABLE. DATA lives
 * as long. A keeper that hangs up instead of an answer may have left for
 * another: that one is asked then, once.
 */
int jt_control_connect(struct jt_control *c, const char *data,
		       unsigned timeout_ms);
void jt_control_close(struct jt_control *c);

/* Directory of the sockets of who serves DATA; false: nobody, or unknown. */
bool jt_control_where(const char *data, char dir[PATH_MAX]);

int jt_control_sync(struct jt_control *c, uint64_t number);
/* Waits for a table that grows. */
int jt_control_fit(struct jt_control *c, uint64_t at,
		   const struct jt_room *room);
int jt_control_limit(struct jt_control *c, uint64_t at,
		     const struct jt_limit *limit, uint16_t *numberp,
		     uint16_t *nextp);
int jt_control_plan(struct jt_control *c, uint64_t at,
		    const char name[JT_PLAN_MAX], uint16_t *numberp,
		    bool *removedp);
int jt_control_scope(struct jt_control *c, uint64_t at,
		     const char name[JT_SCOPE_MAX], uint16_t *numberp,
		     uint16_t *nextp);
int jt_control_set(struct jt_control *c, uint64_t at, const uint8_t bits[32],
		   uint16_t *numberp, uint16_t *nextp);
int jt_control_pair(struct jt_control *c, uint64_t at, uint16_t plan,
		    uint16_t own, bool *knownp);
int jt_control_users(struct jt_control *c, uint64_t at, uint16_t plan,
		     uint64_t *tokensp, uint64_t *pairsp);
/* The names stand in c->line + 3, blanks between. */
int jt_control_names(struct jt_control *c, uint16_t set);
int jt_control_look(struct jt_control *c, const char id[JT_ID_BYTES],
		    struct jt_look *lookp);
int jt_control_save(struct jt_control *c);
/* REASON: may be NULL. */
int jt_control_deny(struct jt_control *c, const char id[JT_ID_BYTES],
		    const char *reason);
int jt_control_denied(struct jt_control *c, uint64_t *pendingp,
		      uint64_t *in_memoryp);
/* *FROMP is moved on; blank and id, again and again, stand in *IDSP. */
int jt_control_pending(struct jt_control *c, uint64_t *fromp, uint64_t *clockp,
		       const char **idsp);
/* The first N, at most JT_TOP_ROWS, of each kind. */
int jt_control_top(struct jt_control *c, unsigned n, struct jt_top *topp);
/* *PIDP serves now; its version stands in c->line behind that. */
int jt_control_upgrade(struct jt_control *c, uint64_t *pidp,
		       const char **versionp);
/* The JSON text stands in c->line + 3. */
int jt_control_status(struct jt_control *c);

#endif
