/*
 * config: jetond's settings. Order: flag > JETON_* > default.
 *
 * One list gives struct, parser and help.
 */
#ifndef JT_SIDECAR_CONFIG_H
#define JT_SIDECAR_CONFIG_H

#include "admin/paths.h"
#include "shm/layout.h"

/* Desks are for both kinds. */
#define JT_HTTP_WORKERS_MAX 8
#define JT_RESP_WORKERS_MAX (JT_WORKERS_MAX - JT_HTTP_WORKERS_MAX)

/* X(field, flag, environment, default, least, most, help) */
#define JT_SETTINGS(X)                                                         \
	X(workers, "workers", "JETON_WORKERS", 0, 0, JT_RESP_WORKERS_MAX,      \
	  "verifying processes; 0: one less than cores, at least 1")           \
	X(capacity, "capacity", "JETON_CAPACITY", 131072, 64, 1000000000,      \
	  "tokens; grows at start to 1.25 x what is stored")                   \
	X(connections, "connections", "JETON_CONNECTIONS", 1024, 1, 20000,     \
	  "open connections of a worker; beyond: -BUSY")                       \
	X(http_workers, "http-workers", "JETON_HTTP_WORKERS", 1, 0,            \
	  JT_HTTP_WORKERS_MAX,                                                 \
	  "processes at the HTTP door; 0: there is no such door")              \
	X(log_refusals, "log-refusals", "JETON_LOG_REFUSALS", 0, 0, 1,         \
	  "1: log refused tokens, a line a second for each word")

struct jt_config {
#define X(field, flag, env, def, least, most, help) uint64_t field;
	JT_SETTINGS(X)
#undef X
	char env[8]; /* only tokens of this environment; empty: of any */
	char http_listen[64]; /* loopback address and port, too; or empty */
	struct jt_paths paths;
};

enum {
	JT_CONFIG_E_USAGE = 1, /* a line was printed; exit 64 */
	JT_CONFIG_E_BAD,       /* likewise; exit 78 */
	JT_CONFIG_E_DONE,      /* help or version was printed; exit 0 */
};

int jt_config_read(struct jt_config *config, int argc, char **argv);

#endif
