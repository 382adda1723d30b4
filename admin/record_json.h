/*
 * record_json: one journal record as JSON, for dump, tail and audit.
 *
 * Everything that the record says, under names that do not change; what its
 * type does not have is absent. A number that names another record (a plan, a
 * set of scopes) stays a number: the names may change, history does not.
 */
#ifndef JT_ADMIN_RECORD_JSON_H
#define JT_ADMIN_RECORD_JSON_H

#include "admin/output.h"
#include "admin/record.h"

/* A new reference; NULL when memory ran out. */
json_t *jt_record_json(const struct jt_record *r);

#endif
