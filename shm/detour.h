/*
 * detour: ask jetond over its socket, for who cannot verify by itself just now.
 *
 * One connection, kept until it is not needed. Bounded: JETON_PATIENCE_MS for
 * a question, 4 KiB for an answer. Errors: negative errno as in jeton.h.
 */
#ifndef JT_SHM_DETOUR_H
#define JT_SHM_DETOUR_H

#include "shm/jeton.h"
#include "shm/verify.h"

#define JT_DETOUR_NAME "jeton.sock"

struct jt_detour {
	int fd; /* -1: not connected */
};

/*
 * ASK, with ENV as it was given (NULL: any), of the daemon at RUN. The verdict
 * is written but for `flags`, and only when 0 is returned.
 */
int jt_detour_ask(struct jt_detour *d, const char *run,
		  const struct jt_ask *ask, const char *env,
		  struct jeton_verdict *verdict);

void jt_detour_end(struct jt_detour *d);

#endif
