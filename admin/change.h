/*
 * change: the one way in which a verb alters the journal.
 *
 *   begin    lock the journal, find out whether a keeper serves it
 *   commit   append one batch, durable; without a keeper also the anchor;
 *            unlock
 *   settle   ask the keeper until the commit is in force
 *   end
 *
 * begin() and commit() return an exit code and have then printed the reason;
 * 0 = go on. A failed begin() or commit() needs no end(), but may have it.
 */
#ifndef JT_ADMIN_CHANGE_H
#define JT_ADMIN_CHANGE_H

#include "admin/control.h"
#include "admin/journal.h"
#include "admin/paths.h"

/* Under the journal's lock others wait too; for a commit it may take long. */
#define JT_CONTROL_WAIT_MS 3000u
#define JT_SETTLE_WAIT_MS 10000u

enum jt_force {
	JT_FORCE_NOW,	/* in force */
	JT_FORCE_LATER, /* no sidecar runs: when one starts */
	JT_FORCE_NOT,	/* a sidecar serves and did not confirm */
};

struct jt_change {
	const struct jt_paths *paths;
	struct jt_journal journal;
	struct jt_control control;
	int sidecar; /* 0: connected; JT_CONTROL_E_* or negative errno */
	bool locked;
	bool mute;   /* begin() and commit() leave the reason in `fault` */
	int trouble; /* why the journal took nothing; 0: it did */
	struct jt_fault fault;
	struct jt_commit done; /* what commit() reached */
};

int jt_change_begin(struct jt_change *c, const struct jt_paths *paths);
/* The same, for one who knows another way when the journal refuses. */
int jt_change_begin_mute(struct jt_change *c, const struct jt_paths *paths);

/* A change that needs the keeper's consent: exit code when it is silent. */
int jt_change_consent(const struct jt_change *c);

/* Nobody was asked because no sidecar ran; if one runs now, exit code. */
int jt_change_still_alone(const struct jt_change *c);

int jt_change_commit(struct jt_change *c, struct jt_record *records, size_t n);

/* The journal stays as it is, but is what it says in force? */
void jt_change_keep(struct jt_change *c);

/* After commit() or keep(). On JT_FORCE_NOT the reason was printed. */
enum jt_force jt_change_settle(struct jt_change *c);

void jt_change_end(struct jt_change *c);

/*
 * Record that TOKEN (its newest record) is revoked: commit() with the one
 * record that says so.
 */
int jt_change_revoke(struct jt_change *c, const struct jt_record *token);

/* The journal refused with E: prints why and what to do; an exit code. */
int jt_journal_refusal(int e, const struct jt_fault *fault);

/* Why the keeper said no, or was not reached, for a message. */
const char *jt_control_reason(const struct jt_control *c, int e);

#endif
