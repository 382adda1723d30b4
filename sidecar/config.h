/*
 * config: jetond's settings. Order: flag > JETON_* > file > default.
 *
 * One list gives struct, parser and help. What a file may hold beside them,
 * policies and peers: settings_file.h. Keeper's process alone.
 */
#ifndef JT_SIDECAR_CONFIG_H
#define JT_SIDECAR_CONFIG_H

#include "admin/paths.h"
#include "shm/layout.h"
#include "sidecar/log.h"
#include "sidecar/loop.h"
#include "sidecar/settings_file.h"

#define JT_CONFIG_PATH "/etc/jeton/jetond.conf" /* root's, when it is there */
#define JT_CONFIG_LINE (PATH_MAX + 256)

/* Desks are for both kinds. */
#define JT_HTTP_WORKERS_MAX 8
#define JT_RESP_WORKERS_MAX (JT_WORKERS_MAX - JT_HTTP_WORKERS_MAX)

/* X(field, flag, environment, default, least, most, help) */
#define JT_SETTINGS(X)                                                         \
	X(workers, "workers", "JETON_WORKERS", 0, 0, JT_RESP_WORKERS_MAX,      \
	  "verifying processes; 0: one less than cores, at least 1")           \
	X(capacity, "capacity", "JETON_CAPACITY", 131072, 64, 1000000000,      \
	  "tokens at first; more when more are stored")                        \
	X(capacity_max, "capacity-max", "JETON_CAPACITY_MAX", 0, 0,            \
	  1000000000, "tokens it may grow to; 0: as memory allows")            \
	X(connections, "connections", "JETON_CONNECTIONS", 1024, 1, 20000,     \
	  "open connections of a worker; beyond: -BUSY")                       \
	X(idle_s, "idle-s", "JETON_IDLE_S", 0, 0, 31536000,                    \
	  "close a connection that asks nothing for so long; 0: never")        \
	X(http_workers, "http-workers", "JETON_HTTP_WORKERS", 1, 0,            \
	  JT_HTTP_WORKERS_MAX,                                                 \
	  "processes at the HTTP door; 0: there is no such door")              \
	X(spin_us, "spin-us", "JETON_SPIN_US", 0, 0, 1000,                     \
	  "look on so long before sleeping; takes a core for latency")         \
	X(log_refusals, "log-refusals", "JETON_LOG_REFUSALS", 0, 0, 1,         \
	  "1: log refused tokens, a line a second for each word")              \
	X(snapshot, "snapshot", "JETON_SNAPSHOT", 1, 0, 1,                     \
	  "1: write and use snapshots, for short starts; 0: never")            \
	X(insecure_debug, "insecure-debug", "JETON_INSECURE_DEBUG", 0, 0, 1,   \
	  "1: debuggers and sanitizers may look; no seccomp, no Landlock")

/* Settings by number: first those of the list, then those that are words. */
enum jt_setting {
#define X(field, flag, env, def, least, most, help) JT_SETTING_##field,
	JT_SETTINGS(X)
#undef X
	JT_SETTING_data,
	JT_SETTING_run,
	JT_SETTING_env,
	JT_SETTING_http_listen,
	JT_SETTING_log_format,
	JT_SETTING_user,
	JT_SETTING_backend,
	JT_SETTINGS_N
};

/* In the order in which they win. */
enum jt_origin {
	JT_ORIGIN_DEFAULT = 0,
	JT_ORIGIN_FILE,
	JT_ORIGIN_ENVIRONMENT,
	JT_ORIGIN_FLAG,
};

enum jt_config_mode {
	JT_CONFIG_SERVE = 0,
	JT_CONFIG_CHECK, /* --check-config */
	JT_CONFIG_PRINT, /* --print-config */
};

struct jt_config {
#define X(field, flag, env, def, least, most, help) uint64_t field;
	JT_SETTINGS(X)
#undef X
	char env[8]; /* only tokens of this environment; empty: of any */
	char http_listen[64]; /* loopback address and port, too; or empty */
	enum jt_log_format log_format;
	char user[32]; /* whom workers become when started by root; or empty */
	enum jt_backend backend;
	struct jt_paths paths;
	enum jt_config_mode mode;
	char file[PATH_MAX];		 /* that was read; "": none */
	uint8_t origins[JT_SETTINGS_N];	 /* enum jt_origin */
	uint32_t lines[JT_SETTINGS_N];	 /* in the file */
	struct jt_settings_file content; /* policies and peers */
	int argc; /* as they were given, to be read again */
	char **argv;
};

enum {
	JT_CONFIG_E_USAGE = 1, /* a line was printed; exit 64 */
	JT_CONFIG_E_BAD,       /* likewise; exit 78 */
	JT_CONFIG_E_DONE,      /* help or version was printed; exit 0 */
};

/* ARGV must live as long as the daemon. Also says how to log from now on. */
int jt_config_read(struct jt_config *config, int argc, char **argv);

/*
 * Read the file again, with the flags and the environment of OLD. 0, or
 * JT_CONFIG_E_BAD with one line in WHY; a file that OLD had and that is gone is
 * bad, too, since without it callers could have more rights.
 */
int jt_config_again(const struct jt_config *old, struct jt_config *nextp,
		    char why[JT_CONFIG_LINE]);

/*
 * Names, with commas between, of the settings in which the two differ and
 * which hold from a start on. "" when there are none.
 */
void jt_config_differ(const struct jt_config *a, const struct jt_config *b,
		      char *names, size_t bytes);

/*
 * All settings as a file which, read, gives the same; each with where it came
 * from. JT_CONFIG_E_BAD with a line in WHY: a path that no file can hold.
 */
int jt_config_print(const struct jt_config *config, FILE *out,
		    char why[JT_CONFIG_LINE]);

#endif
