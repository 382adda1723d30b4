/*
 * leak: values found where they should not be.
 *
 * Reads leaked strings or logs, finds everything shaped like a token of ours,
 * and revokes those whose whole value is the one that is stored. Of a value
 * that a rotation replaced the overlap ends. An id of ours with another secret
 * is only told: to revoke on that would let anybody who knows an id, which is
 * no secret, end a token.
 */
#ifndef JT_ADMIN_LEAK_H
#define JT_ADMIN_LEAK_H

#include "admin/amend.h"

/* `revoke --leaked FILE`; exit code. */
int jt_leak_revoke(const struct jt_cmd *cmd, const struct jt_amend_verb *verb);

#endif
