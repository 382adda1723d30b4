/*
 * door: the admin tool as a client of the RESP door, where services ask.
 */
#ifndef JT_ADMIN_DOOR_H
#define JT_ADMIN_DOOR_H

#include "admin/args.h"
#include "admin/paths.h"

#include <hiredis/hiredis.h>

/*
 * Connect to the sidecar that serves the data directory; with --run to the one
 * there. NULL: WHY.
 */
redisContext *jt_door_open(const struct jt_paths *p, char why[JT_WHY_MAX]);

/* Exit codes, reason printed: no reply came; VERB was answered with an error.
 */
int jt_door_closed(const char *why);
int jt_door_refused(const char *error, const char *verb);

#endif
