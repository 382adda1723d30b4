/*
 * help_record: records of a journal as the admin tool writes them.
 *
 * Numbers, times and tags are not filled. A record of a token is its whole
 * state: change a copy of the newest one, give it another type.
 */
#ifndef JT_TESTS_HELP_RECORD_H
#define JT_TESTS_HELP_RECORD_H

#include "admin/record.h"
#include "tests/help_table.h"

/* CREATE of TOKEN: no limit, no scope, expires at HELP_LATER_S. */
struct jt_record help_create(const struct help_token *token);

/* CREATE of another system's VALUE, stored under SCHEME. */
struct jt_record help_import(const char *value, uint8_t scheme);

/* Another value under the id of R, which becomes the ROTATE; old_until_s. */
void help_rotate(struct jt_record *r, struct help_token *token,
		 uint64_t old_until_s);

/* R with another type. */
struct jt_record help_as(struct jt_record r, uint8_t type);

/* RATE requests a second; NAME "" for those of single tokens. */
struct jt_record help_plan_record(uint16_t number, const char *name,
				  uint64_t rate, uint64_t burst);
struct jt_record help_scope_record(uint16_t number, const char *name);
/* The scopes FIRST..LAST. */
struct jt_record help_set_record(uint16_t number, unsigned first,
				 unsigned last);

#endif
