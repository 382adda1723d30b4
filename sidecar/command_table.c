/* command_table: see command_table.h. */
#include "sidecar/command_table.h"

#include <string.h>

#define OPT JT_ARG_OPTIONAL
#define MANY (JT_ARG_OPTIONAL | JT_ARG_MULTIPLE)

static const struct jt_command_arg verify_args[] = {
	{"token", "string", NULL, 0, 0},
	{"environment", "string", "ENV", OPT, 0},
	{"scope", "string", "SCOPE", MANY | JT_ARG_MULTIPLE_TOKEN, 0},
	{"cost", "integer", "COST", OPT, 0},
};
static const struct jt_command_arg mverify_args[] = {
	{"numtokens", "integer", NULL, 0, 0},
	{"token", "string", NULL, JT_ARG_MULTIPLE, 0},
	{"environment", "string", "ENV", OPT, 0},
	{"scope", "string", "SCOPE", MANY | JT_ARG_MULTIPLE_TOKEN, 0},
	{"cost", "integer", "COST", OPT, 0},
};
static const struct jt_command_arg why_args[] = {
	{"id", "string", NULL, 0, 0},
	{"environment", "string", "ENV", OPT, 0},
	{"scope", "string", "SCOPE", MANY | JT_ARG_MULTIPLE_TOKEN, 0},
	{"cost", "integer", "COST", OPT, 0},
};
static const struct jt_command_arg hello_args[] = {
	{"arguments", "block", NULL, OPT, 3},
	{"protover", "integer", NULL, 0, 0},
	{"username_password", "block", "AUTH", OPT, 2},
	{"username", "string", NULL, 0, 0},
	{"password", "string", NULL, 0, 0},
	{"clientname", "string", "SETNAME", OPT, 0},
};
static const struct jt_command_arg auth_args[] = {
	{"username", "string", NULL, OPT, 0},
	{"password", "string", NULL, 0, 0},
};
static const struct jt_command_arg ping_args[] = {
	{"message", "string", NULL, OPT, 0},
};
static const struct jt_command_arg echo_args[] = {
	{"message", "string", NULL, 0, 0},
};
static const struct jt_command_arg select_args[] = {
	{"index", "integer", NULL, 0, 0},
};
static const struct jt_command_arg setname_args[] = {
	{"connection-name", "string", NULL, 0, 0},
};
static const struct jt_command_arg setinfo_args[] = {
	{"attr", "oneof", NULL, 0, 2},
	{"libname", "string", "LIB-NAME", 0, 0},
	{"libver", "string", "LIB-VER", 0, 0},
};
static const struct jt_command_arg switch_args[] = {
	{"enabled", "oneof", NULL, 0, 2},
	{"on", "pure-token", "ON", 0, 0},
	{"off", "pure-token", "OFF", 0, 0},
};
static const struct jt_command_arg names_args[] = {
	{"command-name", "string", NULL, MANY, 0},
};
static const struct jt_command_arg config_args[] = {
	{"parameter", "string", NULL, JT_ARG_MULTIPLE, 0},
};
static const struct jt_command_arg info_args[] = {
	{"section", "string", NULL, MANY, 0},
};

#define ALWAYS (JT_FLAG_LOADING | JT_FLAG_STALE)
#define QUICK (ALWAYS | JT_FLAG_FAST)
#define OPEN (QUICK | JT_FLAG_NO_AUTH)
#define SPENDS (JT_FLAG_WRITE | JT_FLAG_FAST)

/* R(name, sub, arity, flags, group, complexity, run, args, summary) */
#define NO_ARGS NULL, 0
#define ARGS(array) array, sizeof(array) / sizeof((array)[0])
#define ROWS(R)                                                                \
	R("verify", NULL, -2, SPENDS, "token", "O(S) with S scopes asked for", \
	  NULL, ARGS(verify_args),                                             \
	  "Decide whether a token may do this, and spend its cost")            \
	R("mverify", NULL, -3, JT_FLAG_WRITE, "token", "O(N) with N tokens",   \
	  NULL, ARGS(mverify_args),                                            \
	  "Decide for many tokens at once; an array of verdicts")              \
	R("why", NULL, -2, JT_FLAG_READONLY | JT_FLAG_FAST, "token",           \
	  "O(S) with S scopes asked for", jt_run_why, ARGS(why_args),          \
	  "How VERIFY would decide about the token with this id: the verdict " \
	  "word, the notes, and an array of steps [word that it would refuse " \
	  "with, 1 if it does not, detail]; spends nothing")                   \
	R("stats", NULL, 1, QUICK | JT_FLAG_READONLY, "server", "O(1)",        \
	  jt_run_stats, NO_ARGS, "Counters of the whole service")              \
	R("ping", NULL, -1, QUICK, "connection", "O(1)", jt_run_ping,          \
	  ARGS(ping_args), "Ping the server")                                  \
	R("echo", NULL, 2, QUICK, "connection", "O(1)", jt_run_echo,           \
	  ARGS(echo_args), "Return the message")                               \
	R("hello", NULL, -1, OPEN, "connection", "O(1)", jt_run_hello,         \
	  ARGS(hello_args), "Choose the protocol version")                     \
	R("auth", NULL, -2, OPEN, "connection", "O(1)", jt_run_auth,           \
	  ARGS(auth_args), "Authenticate; there is no password to know")       \
	R("quit", NULL, -1, OPEN, "connection", "O(1)", jt_run_quit, NO_ARGS,  \
	  "Close the connection")                                              \
	R("reset", NULL, 1, OPEN, "connection", "O(1)", jt_run_reset, NO_ARGS, \
	  "Forget this connection's settings")                                 \
	R("select", NULL, 2, QUICK, "connection", "O(1)", jt_run_select,       \
	  ARGS(select_args), "Choose a database; there is only 0")             \
	R("info", NULL, -1, ALWAYS | JT_FLAG_READONLY, "server", "O(1)",       \
	  jt_run_info, ARGS(info_args), "Describe the service in text")        \
	R("config", NULL, -2, ALWAYS, "server", "Depends on subcommand", NULL, \
	  NO_ARGS, "A container for configuration commands")                   \
	R("config|get", "get", -3, ALWAYS | JT_FLAG_READONLY, "server",        \
	  "O(N) with N names", jt_run_config_get, ARGS(config_args),           \
	  "Answers for clients that expect Redis")                             \
	R("client", NULL, -2, ALWAYS, "connection", "Depends on subcommand",   \
	  NULL, NO_ARGS, "A container for connection commands")                \
	CLIENT_ROWS(R)                                                         \
	R("command", NULL, -1, ALWAYS, "server", "O(N) with N commands",       \
	  jt_run_command, NO_ARGS, "Describe all commands")                    \
	COMMAND_ROWS(R)

#define CLIENT_ROWS(R)                                                         \
	R("client|id", "id", 2, QUICK, "connection", "O(1)", jt_run_client_id, \
	  NO_ARGS, "The number of this connection")                            \
	R("client|getname", "getname", 2, QUICK, "connection", "O(1)",         \
	  jt_run_client_getname, NO_ARGS, "The name of this connection")       \
	R("client|setname", "setname", 3, QUICK, "connection", "O(1)",         \
	  jt_run_client_setname, ARGS(setname_args), "Name this connection")   \
	R("client|setinfo", "setinfo", 4, QUICK, "connection", "O(1)",         \
	  jt_run_client_setinfo, ARGS(setinfo_args),                           \
	  "Name the client library and its version")                           \
	R("client|info", "info", 2, QUICK, "connection", "O(1)",               \
	  jt_run_client_info, NO_ARGS, "Describe this connection")             \
	R("client|list", "list", 2, ALWAYS | JT_FLAG_ADMIN, "connection",      \
	  "O(N) with N connections", jt_run_client_list, NO_ARGS,              \
	  "Describe the connections")                                          \
	R("client|no-evict", "no-evict", 3, QUICK, "connection", "O(1)",       \
	  jt_run_client_switch, ARGS(switch_args), "Accepted, no effect")      \
	R("client|no-touch", "no-touch", 3, QUICK, "connection", "O(1)",       \
	  jt_run_client_switch, ARGS(switch_args), "Accepted, no effect")

#define COMMAND_ROWS(R)                                                        \
	R("command|count", "count", 2, ALWAYS, "server", "O(1)",               \
	  jt_run_command_count, NO_ARGS, "How many commands there are")        \
	R("command|list", "list", 2, ALWAYS, "server", "O(N) with N commands", \
	  jt_run_command_list, NO_ARGS, "The names of all commands")           \
	R("command|info", "info", -2, ALWAYS, "server", "O(N) with N names",   \
	  jt_run_command_info, ARGS(names_args), "Describe some commands")     \
	R("command|docs", "docs", -2, ALWAYS, "server", "O(N) with N names",   \
	  jt_run_command_docs, ARGS(names_args), "Document some commands")

#define ROW(name, sub, arity, flags, group, complexity, run, args, summary)    \
	{name, sub, arity, flags, group, complexity, summary, run, args},
const struct jt_command jt_command_table[] = {ROWS(ROW)};
const size_t jt_command_table_n =
	sizeof(jt_command_table) / sizeof(jt_command_table[0]);

static char lower(uint8_t c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

bool jt_command_is(struct jt_bytes text, const char *word)
{
	for (uint32_t i = 0; i < text.bytes; i++)
		if (word[i] == '\0' || lower(text.at[i]) != word[i])
			return false;
	return word[text.bytes] == '\0';
}

const struct jt_command *jt_command_find(struct jt_bytes name)
{
	for (size_t i = 0; i < jt_command_table_n; i++)
		if (jt_command_is(name, jt_command_table[i].name))
			return &jt_command_table[i];
	return NULL;
}

size_t jt_command_n_subs(const struct jt_command *command)
{
	const struct jt_command *end = jt_command_table + jt_command_table_n;
	size_t n = 0;

	while (!command->sub && command + n + 1 < end && command[n + 1].sub)
		n++;
	return n;
}

const struct jt_command *jt_command_find_sub(const struct jt_command *container,
					     struct jt_bytes sub)
{
	size_t n = jt_command_n_subs(container);

	for (size_t i = 1; i <= n; i++)
		if (jt_command_is(sub, container[i].sub))
			return &container[i];
	return NULL;
}
