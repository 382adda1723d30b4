/*
 * torture: a journal on the disk in memory, broken in every way, and asked
 * after each of them about every value that was ever given out.
 *
 * A world is an invented life of some tokens, committed by the real code, and
 * beside it a model that knows the manual alone: what each value must be told
 * at the end of each batch. An image is what a crash, a power cut or damage
 * leaves. It is opened as a daemon opens it at its start (journal, anchor,
 * snapshot, ledger, jt_verify) and either refused or asked; then the next
 * commit must work. Everything follows from the seed.
 *
 *   torture_world.c	tokens, model, what is told after an image
 *   torture_order.c	synced before applied before acknowledged
 *   torture_crash.c	kills, power cuts, errors, chains of them
 *   torture_damage.c	cuts, flips, values, records moved about
 *   torture_follow.c	a follower that looks at any moment
 */
#ifndef JT_TESTS_TORTURE_H
#define JT_TESTS_TORTURE_H

#include "admin/journal.h"
#include "shm/verify.h"
#include "tests/help_io.h"
#include "tests/stress.h"

#define T_TOKENS 48u
#define T_VALUES (2 * T_TOKENS) /* each token may be rotated once */
#define T_BATCH_MAX 8u
#define T_NOW_S 1800000000ull
#define T_OVER JT_WORDS_N /* REVOKED, or no longer known */
#define T_STATES 4u	  /* what an image may show, at most */

/* Counted over all hands; X(name). */
#define T_COUNTS(X)                                                            \
	X(points)                                                              \
	X(images)                                                              \
	X(kills)                                                               \
	X(cuts512)                                                             \
	X(cuts4096)                                                            \
	X(errors)                                                              \
	X(chains)                                                              \
	X(flips)                                                               \
	X(values)                                                              \
	X(truncations)                                                         \
	X(damages)                                                             \
	X(looks)                                                               \
	X(refused)                                                             \
	X(adopted)                                                             \
	X(recovered)                                                           \
	X(ignored)                                                             \
	X(ordered)                                                             \
	X(verdicts)                                                            \
	X(lost)                                                                \
	X(resurrected)                                                         \
	X(wrong)

struct torture_score {
#define X(name) _Atomic uint64_t name;
	T_COUNTS(X)
#undef X
};

enum life {
	LIFE_NONE,
	LIFE_ACTIVE,
	LIFE_SUSPENDED,
	LIFE_REVOKED,
	LIFE_PURGED,
};

/* The model: what is so at the end of the batch that `number` ends. */
struct torture_state {
	uint64_t number;
	uint8_t life[T_TOKENS];
	bool rotated[T_TOKENS], finished[T_TOKENS];
	struct jt_record newest[T_TOKENS];
	uint8_t words[T_VALUES]; /* enum jt_word, or T_OVER */
};

struct torture {
	struct stress *s;
	struct torture_score *score;
	unsigned hand, hands;
	uint64_t percent; /* of what would be exhaustive */
	uint64_t random;
	const char *step; /* what is being done, */
	uint64_t at;	  /* and where: printed with a failure */
};

/* Of this process; set before the rest. */
extern struct torture t;

#define T_COUNT(name) jt_add_relaxed(&t.score->name, 1) /* relaxed: counter */

/* One line with step, place and seed; the run fails. */
__attribute__((format(printf, 1, 2))) void torture_failed(const char *fmt, ...);
/* Is number N of something this hand's, and in the sample? */
bool torture_mine(uint64_t n);

/* ---- world ---- */

void torture_world_init(void);
/* An empty disk, a journal, its anchor; *S: nothing yet. */
void torture_begin(struct torture_state *s);
/* *NEXT: *S and one batch of N invented changes more. Returns the records. */
size_t torture_invent(const struct torture_state *s, struct torture_state *next,
		      struct jt_record records[T_BATCH_MAX], size_t n);
/* Commit a batch through the shim; 0 is an acknowledgement. */
int torture_append(struct jt_record *records, size_t n);
/* Commits of this world that must succeed. */
void torture_tell(struct torture_state *s, unsigned commits);
/* Write the anchor where the journal is. */
int torture_anchor(void);
int torture_snapshot(void);

struct torture_seen {
	int rc;		 /* not 0: refused */
	uint64_t number; /* where it ends */
	bool adopted;
};
/*
 * Open as a start does and ask about every value: what it must be told is in
 * that of the N states whose number it shows. SYNC: flush first, as a daemon
 * does. A refusal asks nothing.
 */
struct torture_seen torture_look(const struct torture_state *states, unsigned n,
				 bool sync);
/* One verified pass over the records alone: 0 and *NUMBERP, or refused. */
int torture_read(uint64_t *numberp, bool *adoptedp);
/* Is the snapshot taken? It is then asked too. */
bool torture_look_snapshot(const struct torture_state *s);

/* Hold what a table tells against *S. */
void torture_ask(const struct jt_maps *maps, const struct torture_state *s);

/* ---- order ---- */

/* help_io, watched; HOOK (may be NULL) is called before each call. */
extern struct jt_io torture_io;
void torture_order_init(void);
extern void (*torture_hook)(void);
/* What is committed up to NUMBER must be on the disk, not in the cache. */
void torture_must_be_safe(uint64_t number, const char *what);

/* ---- phases ---- */

void torture_crashes(void);
void torture_errors(void);
void torture_chains(void); /* until the time is over */
void torture_damages(void);
void torture_snapshots(void);
void torture_followers(void);

#endif
