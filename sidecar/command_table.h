/*
 * command_table: the commands and what is known of each; one list from which
 * lookup, arity check, COMMAND and COMMAND DOCS are made. Inside the RESP door
 * only (command*.c).
 */
#ifndef JT_SIDECAR_COMMAND_TABLE_H
#define JT_SIDECAR_COMMAND_TABLE_H

#include "sidecar/command.h"

/* One command under way. */
struct jt_call {
	struct jt_client *client;
	const struct jt_service *service;
	const struct jt_bytes *args;
	size_t n_args;
	struct jt_out *out;
};

/* Reply, or return the whole text of the error to reply with. */
typedef const char *jt_command_fn(const struct jt_call *call);

/* X(NAME, word in COMMAND's flags, ACL category or NULL) */
#define JT_COMMAND_FLAGS(X)                                                    \
	X(WRITE, "write", "@write")                                            \
	X(READONLY, "readonly", "@read")                                       \
	X(ADMIN, "admin", "@admin")                                            \
	X(LOADING, "loading", NULL)                                            \
	X(STALE, "stale", NULL)                                                \
	X(FAST, "fast", "@fast")                                               \
	X(NO_AUTH, "no_auth", NULL)

enum {
#define X(name, word, category) JT_FLAG_BIT_##name,
	JT_COMMAND_FLAGS(X)
#undef X
#define X(name, word, category) JT_FLAG_##name = 1 << JT_FLAG_BIT_##name,
	JT_COMMAND_FLAGS(X)
#undef X
};

/* One argument for COMMAND DOCS. A block's parts follow it in the array. */
struct jt_command_arg {
	const char *name, *type;
	const char *token; /* the word before it, or NULL */
	unsigned flags;
	unsigned n_parts;
};
#define JT_ARG_OPTIONAL 0x01u
#define JT_ARG_MULTIPLE 0x02u
#define JT_ARG_MULTIPLE_TOKEN 0x04u

struct jt_command {
	const char *name; /* lower case; "client|id" for a subcommand */
	const char *sub;  /* "id"; NULL for a command */
	int arity;	  /* Redis' count: with the name; negative: at least */
	unsigned flags;
	const char *group, *complexity, *summary;
	jt_command_fn *run; /* NULL: answered by the worker, or a container */
	const struct jt_command_arg *args;
	size_t n_args;
};

/* Each container is followed by its subcommands. */
extern const struct jt_command jt_command_table[];
extern const size_t jt_command_table_n;

/* Case-insensitively equal to this word in lower case? */
bool jt_command_is(struct jt_bytes text, const char *word);

/* Commands by name; NULL: none. SUB may hold anything. */
const struct jt_command *jt_command_find(struct jt_bytes name);
const struct jt_command *jt_command_find_sub(const struct jt_command *container,
					     struct jt_bytes sub);
size_t jt_command_n_subs(const struct jt_command *command);

/* command.c */
jt_command_fn jt_run_ping, jt_run_echo, jt_run_quit, jt_run_select;
/* command_client.c */
jt_command_fn jt_run_hello, jt_run_auth, jt_run_reset, jt_run_client_id,
	jt_run_client_getname, jt_run_client_setname, jt_run_client_setinfo,
	jt_run_client_info, jt_run_client_list, jt_run_client_switch;
/* command_docs.c */
jt_command_fn jt_run_command, jt_run_command_count, jt_run_command_list,
	jt_run_command_info, jt_run_command_docs;
/* command_info.c */
jt_command_fn jt_run_info, jt_run_stats, jt_run_config_get;
/* command_why.c */
jt_command_fn jt_run_why;

#endif
