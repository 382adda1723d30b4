/*
 * amend: the one way in which a verb changes tokens that exist.
 *
 * Tokens are named by id, or chosen (choose.h); a choice of several is counted
 * and confirmed. Then, under the journal's lock: the newest record of each is
 * taken, the verb makes the next one of it, and all go into one commit, with
 * the reason, if one was given, at its end. Exit 0: durable and in force.
 */
#ifndef JT_ADMIN_AMEND_H
#define JT_ADMIN_AMEND_H

#include "admin/choose.h"
#include "admin/fold.h"
#include "admin/lookup.h"
#include "admin/numbers.h"

/* What one() may say of a token, besides an exit code with reason printed. */
enum {
	JT_AMEND_SAME = -1, /* it is so already: nothing to record */
	JT_AMEND_SKIP = -2, /* not for this one: chosen tokens are passed over,
			     * a named one was refused with a reason */
};

struct jt_amend;

struct jt_amend_verb {
	uint8_t type;	  /* of the records it writes */
	const char *done; /* "renewed", for messages */
	uint64_t choice;  /* options that choose; 0: ids only */
	bool room;	  /* the keeper must agree: numbers or values are new */
	bool urgent;	  /* without a sidecar exit 3, unless --offline */
	/* Before the lock: check the command line. May be NULL. */
	int (*check)(struct jt_amend *a);
	/* Under the lock, before the first token. May be NULL. */
	int (*begin)(struct jt_amend *a);
	/* R is the newest record on entry, of the verb's type, and the next on
	 * exit. F says the same in words. */
	int (*one)(struct jt_amend *a, const struct jt_found *f,
		   struct jt_record *r);
	/* Under the lock, when the whole batch is known. May be NULL. */
	int (*before)(struct jt_amend *a);
	/* After the commit, in force or not; an exit code, with reason printed,
	 * when there is nothing more to say. May be NULL. */
	int (*after)(struct jt_amend *a);
	/* Instead of listing the tokens on stdout. May be NULL. */
	void (*tell)(struct jt_amend *a, const char *receipt);
	/* Fields of one changed token for JSON and sheet. May be NULL. */
	void (*put)(struct jt_amend *a, const struct jt_record *r,
		    struct jt_sheet *s);
};

struct jt_amend {
	const struct jt_cmd *cmd;
	const struct jt_amend_verb *verb;
	void *own; /* the verb's */
	uint64_t now_s;
	struct jt_choice choice;
	struct jt_change change;
	struct jt_numbers numbers;
	struct jt_record_rules rules;
	struct jt_found found; /* the token at hand */
	bool named;	       /* it was named, not chosen */
	struct jt_record *records;
	size_t n, n_max;
	size_t n_same, n_skipped;
	enum jt_force force;
	bool undone; /* after() took everything back */
};

/* Make the records of what is named or chosen; F: folded, or NULL. Exit code.
 * The journal in A->change is open, locked or not. */
int jt_amend_choose(struct jt_amend *a, struct jt_fold *f);

/* After the commit, or when there is nothing to record: ask the keeper, then
 * answer. Exit code. */
int jt_amend_settle(struct jt_amend *a);

/* After A's revoke met a journal that takes nothing: the other way
 * (emergency.c). Exit code. */
int jt_emergency(struct jt_amend *a, struct jt_fold *f);

/* Run VERB on what CMD names. Exit code. */
int jt_amend(const struct jt_cmd *cmd, const struct jt_amend_verb *verb,
	     void *own);

/* A reason is 1-184 bytes without control characters; exit code. */
int jt_reason_check(const char *reason);

/* Ask on the terminal, or require --yes: exit code when not to go on. */
int jt_confirm(const struct jt_cmd *cmd, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
