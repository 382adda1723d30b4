/*
 * command: what the RESP door answers. Pure: arguments and state in, reply
 * bytes out; no system call but getpid(), no clock, no allocation. Any worker
 * thread with clients of its own.
 *
 * A worker's drain: jt_resp_parse() -> jt_command_classify(). A VERIFY or
 * MVERIFY is queued through jt_command_ask(), all others are queued as they
 * are; then one jt_verify() over all asks of the drain; then the replies per
 * connection in order, with jt_command_verdict() or jt_command_run(). Run a
 * command only when its turn to be answered has come: HELLO changes how all
 * later replies of its connection are written.
 *
 * No error repeats an argument: it may be a token.
 */
#ifndef JT_SIDECAR_COMMAND_H
#define JT_SIDECAR_COMMAND_H

#include "sidecar/peers.h"
#include "sidecar/resp.h"

/* No reply of jt_command_run() is longer. */
#define JT_REPLY_MAX 32768u
/* Nor one verdict (command_verify.c adds it up); MVERIFY sends n of them. */
#define JT_VERDICT_MAX 512u

#define JT_CLIENT_NAME_BYTES 64u
#define JT_CLIENT_LINE_MAX 512u	  /* one line of CLIENT LIST */
#define JT_CLIENT_LIST_MAX 16384u /* then it is cut after a whole line */

#define JT_ERROR_LOADING "LOADING jeton is replaying its journal"
#define JT_ERROR_NOPERM                                                        \
	"NOPERM this user may not ask about tokens; see [peer] in the "        \
	"configuration of jetond"
#define JT_ERROR_REFUSALS                                                      \
	"BUSY too many refused tokens from this user; try again"

/* One connection. Start: jt_client_init(). */
struct jt_client {
	uint64_t id;
	uint64_t connected_ns; /* same clock as jt_service.now_ns */
	int proto;	       /* 2 or 3 */
	bool quit;	       /* close when the reply has been sent */
	char name[JT_CLIENT_NAME_BYTES]; /* "": none; with terminator */
	char lib_name[JT_CLIENT_NAME_BYTES];
	char lib_ver[JT_CLIENT_NAME_BYTES];
};

void jt_client_init(struct jt_client *client, uint64_t id, uint64_t now_ns);

/* Its line for CLIENT LIST, with line feed. Bytes; 0 when MAX is too small. */
size_t jt_client_line(const struct jt_client *client, const char *command,
		      uint64_t now_ns, char *buf, size_t max);

/* Counters for STATS and INFO, in the order in which STATS names them. */
#define JT_STATS(X)                                                            \
	X(uptime_s)                                                            \
	X(connections)                                                         \
	X(accepted)                                                            \
	X(commands)                                                            \
	X(tokens)                                                              \
	X(capacity)                                                            \
	X(slots)                                                               \
	X(slots_used)                                                          \
	X(applied_number)                                                      \
	X(memo_hits)                                                           \
	X(memo_misses)                                                         \
	X(torn)                                                                \
	X(workers)                                                             \
	X(busy)                                                                \
	X(slow_closed)                                                         \
	X(protocol_errors)                                                     \
	X(bytes_in)                                                            \
	X(bytes_out)

struct jt_stats {
#define X(name) uint64_t name;
	JT_STATS(X)
#undef X
	uint64_t verdicts[JT_WORDS_N]; /* as verdict_VALID and so on */
};

/* What commands may ask of the worker that runs them. */
struct jt_service {
	void *ctx;
	bool (*loading)(void *ctx);
	void (*stats)(void *ctx, struct jt_stats *stats); /* zeroed before */
	/* Lines of jt_client_line(), whole ones; returns bytes, at most MAX. */
	size_t (*clients)(void *ctx, char *buf, size_t max);
	const char *backend;	    /* jt_backend_name() */
	uint64_t now_ns;	    /* for ages; of this round */
	const struct jt_rule *rule; /* of whose command is run now */
	/* jt_verify_id() */
	bool (*why)(void *ctx, const char id[JT_PUBLIC_BYTES],
		    const struct jt_ask *ask, struct jt_trace *trace);
	/* jt_peers_sum() */
	unsigned (*peers)(void *ctx, struct jt_peer_row rows[JT_PEERS_MAX]);
};

enum jt_command_class {
	JT_COMMAND_SKIP,    /* empty: no reply */
	JT_COMMAND_LOCAL,   /* for jt_command_run() */
	JT_COMMAND_ERROR,   /* unknown or miscounted: jt_command_run(), too */
	JT_COMMAND_VERIFY,  /* for jt_command_ask() */
	JT_COMMAND_MVERIFY, /* likewise; one array of n verdicts */
};

/*
 * Is this how nearly every command begins and ends: "VERIFY", a token of our
 * length, nothing else? Then its token, and how many bytes it all took; else 0,
 * and jt_resp_parse() is to say what it is. Hot.
 */
uint32_t jt_command_plain(const uint8_t *at, size_t len,
			  struct jt_bytes *tokenp);

/* Hot: a VERIFY is recognised without a look at the table. */
enum jt_command_class jt_command_classify(const struct jt_bytes *args,
					  size_t n_args);

/* A LOCAL or ERROR command behind which nothing is to be looked at? */
bool jt_command_ends(const struct jt_bytes *args, size_t n_args);

/*
 * Answer a LOCAL or ERROR command: exactly one reply. May change CLIENT;
 * client->proto rules how it is written, out->proto is set from it.
 * True: it was answered with an error (for the counter).
 */
bool jt_command_run(struct jt_client *client, const struct jt_service *service,
		    const struct jt_bytes *args, size_t n_args,
		    struct jt_out *out);

/*
 * VERIFY token [ENV e] [SCOPE s]... [COST n]
 * MVERIFY n token... [ENV e] [SCOPE s]... [COST n]
 */
#define JT_ASK_TOKENS_MAX 1000u
#define JT_ASK_SCOPES_MAX 16u
#define JT_ASK_SCOPE_BYTES                                                     \
	48u /* shorter than a token: none is taken for one                     \
	     */

#define JT_ASK_ERRORS(X)                                                       \
	X(OPTION, "unknown option, or one given twice")                        \
	X(COST, "COST is not an integer from 0 to 4294967295")                 \
	X(SCOPE, "SCOPE is not a scope name")                                  \
	X(SCOPES, "more than 16 scopes")                                       \
	X(TOKENS, "MVERIFY takes n from 1 to 1000, then n tokens")

enum {
	JT_ASK_OK = 0,
#define X(name, text) JT_ASK_E_##name,
	JT_ASK_ERRORS(X)
#undef X
};

/*
 * Read the arguments of a VERIFY or MVERIFY into *ASK, all but ask->token:
 * the *N_TOKENSP tokens stand at *TOKENSP, inside ARGS. ask->scopes is SCOPES,
 * of which the first ask->n_scopes are used and the rest is free again.
 * An ENV that is no environment's name is no error: ask->env_unknown.
 * 0 or JT_ASK_E_*.
 */
int jt_command_ask(enum jt_command_class class, const struct jt_bytes *args,
		   size_t n_args, struct jt_bytes scopes[JT_ASK_SCOPES_MAX],
		   struct jt_ask *ask, const struct jt_bytes **tokensp,
		   size_t *n_tokensp);

/* The whole error for jt_out_error(). */
const char *jt_command_ask_error(int error);

/*
 * Numbers that are mostly the same from one verdict to the next, as they were
 * written last. All zero: none yet.
 */
struct jt_command_kept {
	struct jt_resp_number limit, applied;
};

/* One verdict, the array of 11; the same bytes in RESP2 and RESP3. Hot. */
void jt_command_verdict(struct jt_out *out, const struct jt_verdict *v,
			uint64_t applied_number, struct jt_command_kept *kept);

#endif
