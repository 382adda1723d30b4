/*
 * keeper: the parent process. Only holder of the writable identity map.
 *
 * Replays and follows the journal, starts and restarts workers, answers the
 * control socket. Receives no byte from verifying clients. One thread, one
 * poll loop, no ring.
 */
#ifndef JT_SIDECAR_KEEPER_H
#define JT_SIDECAR_KEEPER_H

#include "sidecar/config.h"

/* sysexits of jetond */
#define JT_EXIT_USAGE 64
#define JT_EXIT_OS 71
#define JT_EXIT_IO 74
#define JT_EXIT_CONFIG 78

/* Serve until SIGTERM or SIGINT. Returns the exit status. */
int jt_keeper_run(const struct jt_config *config);

#endif
