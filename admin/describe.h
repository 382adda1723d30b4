/*
 * describe: records in words, for history and audit.
 *
 * A token's record carries its whole state; what it changed is the difference
 * to the one before. Numbers of plans and scopes are looked up in NAMES, a
 * catalog that knows the definitions made before the record (walk.h). Texts are
 * as they stand in the journal: print them through jt_put_text().
 *
 * The word for a record's type is jt_record_verb() in record.h.
 */
#ifndef JT_ADMIN_DESCRIBE_H
#define JT_ADMIN_DESCRIBE_H

#include "admin/catalog.h"

#define JT_DESCRIBE_TEXT 256

/* FROM NULL: the token is new, that is what it began with. */
typedef void jt_describe_fn(void *ctx, const char *field, const char *from,
			    const char *to);

/*
 * Call PUT for each field in which AFTER differs from BEFORE, in a fixed order.
 * BEFORE NULL: for each field that says something.
 */
void jt_describe_token(const struct jt_catalog *names,
		       const struct jt_record *before,
		       const struct jt_record *after, jt_describe_fn *put,
		       void *ctx);

/* What any record is about: its id, "plan gold", "scope orders:read". */
void jt_describe_subject(const struct jt_record *r, char out[JT_DESCRIBE_TEXT]);

/*
 * What a record that is no token's state says: "none -> 100/s burst 200" of a
 * plan, "7 days before the end" of a notice; often nothing.
 */
void jt_describe_event(const struct jt_catalog *names,
		       const struct jt_record *r, char out[JT_DESCRIBE_TEXT]);

/* Name of that user, else the number. Valid until the next call. */
const char *jt_describe_user(uint32_t uid);

/* "uid 1001 (web)", or the number alone when it has no name. */
#define JT_UID_TEXT 96
void jt_describe_uid(uint32_t uid, char out[JT_UID_TEXT]);

#endif
