/*
 * roster: chosen tokens as rows, for list, expiring and unused.
 *
 * Folded from the journal without the lock; what is being committed at this
 * moment is either wholly in it or not at all. What is in force without being
 * in it, a revoke that waits and the time that was, counts (in_force.h). Uses
 * come from the file that a sidecar writes, and which it is asked to bring up
 * to date first.
 *
 *   table  name, masked value, expiry date, status; never wider than the
 *          terminal, so a long name is cut; long: a second line, wrapped
 *   TSV    the same columns; long: all of JSON's as columns
 *   JSON   an object a token with everything
 */
#ifndef JT_ADMIN_ROSTER_H
#define JT_ADMIN_ROSTER_H

#include "admin/choose.h"
#include "admin/usage.h"

enum jt_roster_key {
	JT_BY_CREATED,
	JT_BY_NAME,
	JT_BY_EXPIRES, /* soonest first */
	JT_BY_USED,    /* latest first, never used ones last */
	JT_BY_USES,    /* most first */
};

enum jt_roster_form {
	JT_ROWS,
	JT_ROWS_LONG,
	JT_ROWS_IDLE, /* created and last used, instead of expiry, status */
};

struct jt_roster {
	struct jt_catalog catalog;
	struct jt_usage_table usage;
	bool counted; /* uses are known */
	uint64_t now_s;
	uint32_t *rows; /* numbers of cards */
	size_t n_rows;
};

/* COUNTS: uses are wanted, too. Exit code. */
int jt_roster_open(struct jt_roster *r, const struct jt_cmd *cmd, bool counts);
void jt_roster_close(struct jt_roster *r);

/* Rows are those that fit CHOICE and, if it is not NULL, ALSO. */
typedef bool jt_roster_fn(const struct jt_roster *r, const struct jt_card *card,
			  void *ctx);
void jt_roster_pick(struct jt_roster *r, const struct jt_choice *choice,
		    jt_roster_fn *also, void *ctx);

/* Stable: what is equal stays in order of creation. Exit code. */
int jt_roster_sort(struct jt_roster *r, enum jt_roster_key key);
/* From the command line; exit code. */
int jt_roster_key(const char *text, enum jt_roster_key *keyp);

void jt_roster_put(const struct jt_roster *r, enum jt_style style,
		   enum jt_roster_form form);

/* False: nothing is known of its use. */
bool jt_roster_usage(const struct jt_roster *r, const struct jt_card *card,
		     struct jt_usage *up);

#endif
