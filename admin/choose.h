/*
 * choose: which tokens a verb is about, by owner, environment, name, plan,
 * status and expiry. All that is given must fit.
 */
#ifndef JT_ADMIN_CHOOSE_H
#define JT_ADMIN_CHOOSE_H

#include "admin/catalog.h"
#include "admin/cmd.h"

struct jt_choice {
	const char *owner, *env, *name, *plan, *status;
	uint64_t expires_from_s, expires_until_s; /* both 0: whenever */
	uint64_t dead_until_s; /* dead since before; 0: dead or not */
	uint64_t now_s;
	bool not_revoked;
	bool any; /* something was asked for */
};

/* Options that choose, for the table of verbs. */
#define JT_CHOICE                                                              \
	(JT_BIT(owner) | JT_BIT(env) | JT_BIT(name) | JT_BIT(plan) |           \
	 JT_BIT(status) | JT_BIT(expiring_within))

/* From those of the options that are in MASK. 0 or an exit code. */
int jt_choice_read(const struct jt_cmd *cmd, uint64_t mask, uint64_t now_s,
		   struct jt_choice *choice);

bool jt_choice_fits(const struct jt_choice *choice,
		    const struct jt_catalog *catalog,
		    const struct jt_card *card);

/* When it stopped working for good, 0: it has not. */
uint64_t jt_card_died_s(const struct jt_card *card, uint64_t now_s);

#endif
