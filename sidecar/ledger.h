/*
 * ledger: the keeper's books: what each record of the journal means in the
 * table, and what the table has no room for.
 *
 * A token's record carries its whole state, so one function puts any of them
 * in force: find the token's line, make its one or two slots say what the
 * record says. Nothing here reads a file or a clock.
 *
 * The books are private memory of the keeper, per token 48 bytes. In
 * which slots a token's values stand: places.h. Numbers of
 * plans in the table are the ledger's own: plans.h. Keeper only.
 */
#ifndef JT_SIDECAR_LEDGER_H
#define JT_SIDECAR_LEDGER_H

#include "admin/control.h"
#include "admin/journal.h"
#include "sidecar/intern.h"
#include "sidecar/places.h"
#include "sidecar/plans.h"
#include "sidecar/sets.h"

#define JT_LINE_NONE UINT32_MAX

/* One token, by its meter line. */
struct jt_line {
	uint64_t first, last; /* its first and newest record; 0: free line */
	uint32_t old_until_s;
	uint32_t next; /* of free lines */
	uint32_t expires_s;
	uint16_t plan, own, set;
	uint8_t state; /* enum jt_slot_state */
	bool holds;    /* its pair: since it was settled */
	bool denied;   /* revoked, though the journal does not say so yet */
};

/* A value that went when its token was rotated once more, or its time over. */
#define JT_LEDGER_PAST 4096u
struct jt_past {
	uint64_t first; /* of its token */
	uint32_t line;
	uint32_t zero;
	uint8_t key[16]; /* of its digest */
};

struct jt_ledger {
	struct jt_maps *maps;
	struct jt_now now; /* the caller's, before each call that changes */
	struct jt_intern owners;
	struct jt_places places;
	struct jt_line *lines;
	uint64_t lines_room; /* as many as the table has room for */
	uint32_t n_lines;    /* lines ever used */
	uint32_t free_first; /* lines that may be used again */
	uint32_t n_free;
	/* lines of purged tokens, until every worker has passed a round */
	uint32_t rest_first, rest_last;
	struct jt_rest rest;
	/* another daemon has the meters, too (estate.h): purged lines rest */
	bool shared;
	uint64_t lines_end;   /* none from here on is given away */
	bool used_beyond;     /* another daemon had lines behind n_lines */
	uint64_t tidy_from_s; /* no old value is over before */
	/* the latest of them, round and round: use counts may stand in the file
	 * under one of these (restore.c) */
	struct jt_past *past;
	uint64_t n_past;
	struct jt_plans plans;
	struct jt_sets sets;
};

/* MAPS: new and empty. 0 or -ENOMEM. */
int jt_ledger_init(struct jt_ledger *l, struct jt_maps *maps);
void jt_ledger_deinit(struct jt_ledger *l);

/* Ask for the memory of a record that is put some records later. */
void jt_ledger_prefetch(const struct jt_ledger *l, const struct jt_record *r);

/*
 * Put one record in force. 0; JT_TABLE_E_FULL; negative errno: the record does
 * not fit what went before.
 */
int jt_ledger_apply(struct jt_ledger *l, const struct jt_record *r);

/*
 * The journal is replayed: give every token its limits. Before the first worker
 * may look, once. 0; JT_TABLE_E_FULL: the tokens have more than 65,535 of them.
 */
int jt_ledger_settle(struct jt_ledger *l);

/* Of this record only what takes something away, if anything. */
int jt_ledger_deny(struct jt_ledger *l, const struct jt_record *r);

/*
 * Revoke a token for good, before the journal knows (denials.h): whatever
 * record of it comes meanwhile, its slots stay revoked.
 */
enum jt_denied {
	JT_DENIED_NOW,
	JT_DENIED_BEFORE,   /* by such a call */
	JT_DENIED_RECORDED, /* the journal says so already */
	JT_DENIED_NOBODY,   /* there is no such token */
};
enum jt_denied jt_ledger_deny_id(struct jt_ledger *l,
				 const char id[JT_ID_BYTES]);

/* Books for a table of at least so many tokens. 0 or -ENOMEM. */
int jt_ledger_widen(struct jt_ledger *l, uint64_t capacity);

/*
 * Make room: forget values whose time is over when there are fewer than VALUES
 * free places for new ones; take back the lines of purged tokens.
 */
void jt_ledger_tidy(struct jt_ledger *l, uint64_t values);

/*
 * Is there room for so many more tokens, values (those of new tokens and of
 * rotations), numbers of plans, bytes of owners, in both tables when there are
 * two? JT_TABLE_E_FULL and a line.
 */
int jt_ledger_fits(const struct jt_ledger *l, const struct jt_room *want,
		   struct jt_fault *faultp);

/* Tokens that have this named plan, but for revoked ones, and its pairs. */
uint64_t jt_ledger_users(const struct jt_ledger *l, uint16_t plan,
			 uint64_t *pairsp);

/*
 * Tokens that expire within so many days, and those that have; revoked ones
 * are neither. Goes through all lines: 5 ms for a million.
 */
#define JT_EXPIRING_N 5u
extern const uint32_t jt_expiring_days[JT_EXPIRING_N]; /* rising */
struct jt_expiring {
	uint64_t within[JT_EXPIRING_N];
	uint64_t over;
	/* all tokens by status; `expired` without those that are suspended */
	uint64_t active, suspended, revoked, expired;
};
void jt_ledger_expiring(const struct jt_ledger *l, uint64_t now_s,
			struct jt_expiring *expiringp);
/*
 * The same in slices: adds N lines from FROM on to *EXPIRINGP, which is zeroed
 * before the first. Returns where the next one begins; 0: that were all.
 */
uint32_t jt_ledger_expiring_slice(const struct jt_ledger *l, uint32_t from,
				  uint32_t n, uint64_t now_s,
				  struct jt_expiring *expiringp);

/* That line counts from zero; nobody's slot names it. */
void jt_ledger_zero(const struct jt_ledger *l, uint32_t line);

/* The line whose slot bears KEY; OTHERS: that of a value not of our form. */
uint32_t jt_ledger_line_at(const struct jt_ledger *l, uint64_t key,
			   bool others);

/* Line of an id, JT_LINE_NONE: there is no such token. */
uint32_t jt_ledger_find(const struct jt_ledger *l, const char id[JT_ID_BYTES]);

/* What is known of an id; false: nothing. */
bool jt_ledger_look(const struct jt_ledger *l, const char id[JT_ID_BYTES],
		    struct jt_look *lookp);

#endif
