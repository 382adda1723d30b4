/* command: what each command answers, byte by byte, and what none ever tells.
 */
#include "sidecar/command.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN                                                                  \
	"jt_live_Zk3mQ0v9XyTb41Rw"                                             \
	"0123456789abcdefghijABCDEFGHIJ0123456789"
static_assert(sizeof(TOKEN) - 1 == JT_TOKEN_BYTES, "a token's length");

static bool is_loading;
static struct jt_client client;

static bool loading(void *ctx)
{
	return is_loading;
}

/* Every counter at its place in the list, plus what CTX says. */
static void stats(void *ctx, struct jt_stats *s)
{
	uint64_t n = *(const uint64_t *)ctx;

#define X(name) s->name = n++;
	JT_STATS(X)
#undef X
	for (size_t i = 0; i < JT_WORDS_N; i++)
		s->verdicts[i] = n++;
}

static size_t clients(void *ctx, char *buf, size_t max)
{
	size_t at = 0, n;

	do {
		n = jt_client_line(&client, "client|list", 9000000000u,
				   buf + at, max - at);
		at += n;
	} while (n && *(const uint64_t *)ctx > 1000);
	return at;
}

static struct jt_peer_row rows[JT_PEERS_MAX];
static unsigned n_rows;

static unsigned peers(void *ctx, struct jt_peer_row to[JT_PEERS_MAX])
{
	memcpy(to, rows, sizeof(rows));
	return n_rows;
}

static const struct jt_rule rule = {.verify = 1};
static uint64_t counters = 100;
static const struct jt_service service = {
	.ctx = &counters,
	.loading = loading,
	.stats = stats,
	.clients = clients,
	.now_ns = 9000000000u,
	.rule = &rule,
	.peers = peers,
};

static uint8_t reply[JT_REPLY_MAX + 1];
static size_t reply_bytes;

static struct jt_bytes bytes(const char *text)
{
	return (struct jt_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

/* Split at blanks; the pointers are into LINE. */
static size_t split(char *line, struct jt_bytes *args)
{
	size_t n = 0;

	for (char *word = strtok(line, " "); word; word = strtok(NULL, " "))
		args[n++] = bytes(word);
	return n;
}

static bool run_args(const struct jt_bytes *args, size_t n)
{
	struct jt_out out = {reply, 0, JT_REPLY_MAX, 0, false};
	bool error = jt_command_run(&client, &service, args, n, &out);

	cr_assert_not(out.overflow);
	cr_expect_eq(error, reply[0] == '-');
	cr_expect_eq(out.proto, client.proto);
	reply_bytes = out.len;
	reply[out.len] = '\0';
	return error;
}

/* Run LINE; what it answered stands in `reply`. */
static const char *run(const char *line)
{
	struct jt_bytes args[JT_RESP_ARGS_MAX];
	char copy[512];

	snprintf(copy, sizeof(copy), "%s", line);
	run_args(args, split(copy, args));
	return (const char *)reply;
}

static void expect(const char *line, const char *want)
{
	cr_expect_str_eq(run(line), want, "%s -> %s", line, reply);
}

static void start(void)
{
	is_loading = false;
	counters = 100;
	jt_client_init(&client, 7, 2000000000u);
}

TestSuite(command, .init = start);

#define FIELDS(proto)                                                          \
	"$6\r\nserver\r\n$5\r\njeton\r\n$7\r\nversion\r\n$5\r\n" JT_VERSION    \
	"\r\n$5\r\nproto\r\n:" #proto "\r\n$2\r\nid\r\n:7\r\n$4\r\nmode\r\n"   \
	"$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n" \
	"*0\r\n"

Test(command, hello_switches_before_it_replies)
{
	expect("HELLO", "*14\r\n" FIELDS(2));
	expect("hello 3", "%7\r\n" FIELDS(3));
	expect("HELLO", "%7\r\n" FIELDS(3));
	expect("HELLO 2", "*14\r\n" FIELDS(2));
	expect("HELLO 3 AUTH default any SETNAME n", "%7\r\n" FIELDS(3));
	cr_expect_str_eq(client.name, "n");
	expect("hello 3 setname m auth default any", "%7\r\n" FIELDS(3));
	cr_expect_str_eq(client.name, "m");
}

#define BAD_NAME                                                               \
	"-ERR Client names cannot contain spaces, newlines or special "        \
	"characters.\r\n"
#define BAD_OPTION "-ERR Syntax error in HELLO option '...'\r\n"
#define BAD_VERSION                                                            \
	"-ERR Protocol version is not an integer or out of range\r\n"
#define NOPROTO "-NOPROTO unsupported protocol version\r\n"
#define WRONGPASS                                                              \
	"-WRONGPASS invalid username-password pair or user is disabled.\r\n"

Test(command, hello_refuses_in_the_usual_words_and_changes_nothing)
{
	expect("HELLO 1", NOPROTO);
	expect("HELLO 4", NOPROTO);
	expect("HELLO -3", NOPROTO);
	expect("HELLO 4294967299", NOPROTO);
	expect("HELLO x", BAD_VERSION);
	expect("HELLO 03", BAD_VERSION);
	expect("HELLO 99999999999999999999", BAD_VERSION);
	expect("HELLO 3 FOO", BAD_OPTION);
	expect("HELLO 3 AUTH default", BAD_OPTION);
	expect("HELLO 3 SETNAME", BAD_OPTION);
	expect("HELLO 3 SETNAME a AUTH other p", WRONGPASS);
	expect("HELLO 3 AUTH Default p", WRONGPASS);
	expect("HELLO 3 SETNAME a\nb", BAD_NAME);
	cr_expect_eq(client.proto, 2);
	cr_expect_str_eq(client.name, "");
}

Test(command, auth_is_that_of_redis_without_a_password)
{
	expect("AUTH default p", "+OK\r\n");
	expect("AUTH other p", WRONGPASS);
	expect("AUTH a b c", "-ERR syntax error\r\n");
	expect("AUTH p", "-ERR AUTH <password> called without any password "
			 "configured for the default user. Are you sure your "
			 "configuration is correct?\r\n");
}

Test(command, connection_commands_answer_as_redis)
{
	expect("PING", "+PONG\r\n");
	expect("ping hello", "$5\r\nhello\r\n");
	expect("ECHO hello", "$5\r\nhello\r\n");
	expect("SELECT 0", "+OK\r\n");
	expect("SELECT 1", "-ERR DB index is out of range\r\n");
	expect("SELECT -1", "-ERR DB index is out of range\r\n");
	expect("SELECT x", "-ERR value is not an integer or out of range\r\n");
	cr_expect_not(client.quit);
	expect("quit", "+OK\r\n");
	cr_expect(client.quit);
}

Test(command, reset_forgets_protocol_and_name)
{
	run("HELLO 3 SETNAME n");
	expect("RESET", "+RESET\r\n");
	cr_expect_eq(client.proto, 2);
	expect("CLIENT GETNAME", "$-1\r\n");
}

Test(command, client_names_are_kept_and_checked)
{
	struct jt_bytes blank[] = {bytes("client"), bytes("setname"),
				   bytes("a b")};
	struct jt_bytes none[] = {blank[0], blank[1], bytes("")};
	char line[128];

	expect("CLIENT SETNAME worker-1", "+OK\r\n");
	expect("CLIENT GETNAME", "$8\r\nworker-1\r\n");
	run_args(blank, 3);
	cr_expect_str_eq((const char *)reply, BAD_NAME);
	expect("CLIENT SETNAME a\x7f", BAD_NAME);
	expect("CLIENT SETNAME \xc3\xa4", BAD_NAME);
	expect("CLIENT GETNAME", "$8\r\nworker-1\r\n");
	run_args(none, 3);
	expect("CLIENT GETNAME", "$-1\r\n");
	run("HELLO 3");
	expect("CLIENT GETNAME", "_\r\n");
	snprintf(line, sizeof(line), "CLIENT SETNAME %064d", 0);
	expect(line, "-ERR a name of more than 63 characters\r\n");
	line[strlen(line) - 1] = '\0';
	expect(line, "+OK\r\n");
}

Test(command, client_setinfo_takes_library_and_version)
{
	expect("client setinfo LIB-NAME node-redis", "+OK\r\n");
	expect("CLIENT SETINFO lib-ver 6.3.1", "+OK\r\n");
	cr_expect_str_eq(client.lib_name, "node-redis");
	cr_expect_str_eq(client.lib_ver, "6.3.1");
	expect("CLIENT SETINFO other x", "-ERR Unrecognized option '...'\r\n");
	expect("CLIENT SETINFO lib-ver a\tb", BAD_NAME);
	cr_expect_str_eq(client.lib_ver, "6.3.1");
}

#define LINE(command, proto)                                                   \
	"id=7 addr=unix:0 name=w age=7 flags=U db=0 sub=0 psub=0 multi=-1 "    \
	"cmd=" command " user=default lib-name= lib-ver= resp=" #proto "\n"

Test(command, client_describes_connections)
{
	run("CLIENT SETNAME w");
	expect("CLIENT ID", ":7\r\n");
	expect("CLIENT INFO", "$120\r\n" LINE("client|info", 2) "\r\n");
	expect("CLIENT LIST", "$120\r\n" LINE("client|list", 2) "\r\n");
	run("HELLO 3");
	expect("CLIENT INFO", "=124\r\ntxt:" LINE("client|info", 3) "\r\n");
	expect("CLIENT NO-EVICT on", "+OK\r\n");
	expect("CLIENT no-touch OFF", "+OK\r\n");
	expect("CLIENT NO-TOUCH maybe", "-ERR syntax error\r\n");
}

Test(command, client_line_is_whole_or_not_at_all)
{
	char buf[JT_CLIENT_LINE_MAX];
	size_t n;

	client.id = UINT64_MAX;
	memset(client.name, 'x', JT_CLIENT_NAME_BYTES - 1);
	memset(client.lib_name, 'x', JT_CLIENT_NAME_BYTES - 1);
	memset(client.lib_ver, 'x', JT_CLIENT_NAME_BYTES - 1);
	client.connected_ns = 0;
	n = jt_client_line(&client, "client|no-evict", UINT64_MAX, buf,
			   sizeof(buf));
	cr_expect_gt(n, 0);
	cr_expect_eq(buf[n - 1], '\n');
	for (size_t max = 0; max <= n; max++)
		cr_expect_eq(jt_client_line(&client, "client|no-evict",
					    UINT64_MAX, buf, max),
			     0);
	client.connected_ns = 5; /* a clock that seems to go back */
	jt_client_line(&client, "c", 4, buf, sizeof(buf));
	cr_expect(strstr(buf, " age=0 "));
}

#define UNKNOWN_SUB(name)                                                      \
	"-ERR unknown subcommand '...'. Try " name " HELP.\r\n"

Test(command, other_subcommands_are_errors)
{
	expect("CLIENT TRACKING ON", UNKNOWN_SUB("CLIENT"));
	expect("CLIENT MAINT_NOTIFICATIONS ON", UNKNOWN_SUB("CLIENT"));
	expect("CLIENT KILL 1", UNKNOWN_SUB("CLIENT"));
	expect("CLIENT HELP", UNKNOWN_SUB("CLIENT"));
	expect("CLIENT LIS", UNKNOWN_SUB("CLIENT"));
	expect("CLIENT LISTS", UNKNOWN_SUB("CLIENT"));
	expect("CONFIG SET save x", UNKNOWN_SUB("CONFIG"));
	expect("COMMAND GETKEYS get x", UNKNOWN_SUB("COMMAND"));
}

Test(command, unknown_commands_are_named_only_when_no_token_can_be)
{
	expect("GET key", "-ERR unknown command 'GET'\r\n");
	expect("abcdefghijABCDEFGHIJ", "-ERR unknown command "
				       "'abcdefghijABCDEFGHIJ'\r\n");
	expect("abcdefghijABCDEFGHIJk", "-ERR unknown command '...'\r\n");
	expect("GET2", "-ERR unknown command '...'\r\n");
	expect("G_T", "-ERR unknown command '...'\r\n");
	expect("client|id", "-ERR unknown command '...'\r\n");
	expect("MONITOR", "-ERR unknown command 'MONITOR'\r\n");
	expect("SLOWLOG GET", "-ERR unknown command 'SLOWLOG'\r\n");
	expect("WHYNOT jt_live_Zk3mQ0v9XyTb41Rw",
	       "-ERR unknown command 'WHYNOT'\r\n");
	expect(TOKEN, "-ERR unknown command '...'\r\n");
	cr_expect_not(client.quit);
}

Test(command, http_at_the_wrong_door_is_told_so_and_closed)
{
	expect("POST /v1/verify HTTP/1.1",
	       "-ERR this socket speaks RESP, not HTTP\r\n");
	cr_expect(client.quit);
}

Test(command, counts_are_checked_and_told_with_our_name)
{
	static const char *const lines[][2] = {
		{"VERIFY", "verify"},
		{"mverify 1", "mverify"},
		{"STATS x", "stats"},
		{"PING a b", "ping"},
		{"ECHO", "echo"},
		{"ECHO a b", "echo"},
		{"AUTH", "auth"},
		{"RESET x", "reset"},
		{"SELECT", "select"},
		{"CLIENT", "client"},
		{"CLIENT ID x", "client|id"},
		{"CLIENT SETNAME", "client|setname"},
		{"CLIENT SETINFO lib-name", "client|setinfo"},
		{"CLIENT NO-EVICT", "client|no-evict"},
		{"CONFIG", "config"},
		{"CONFIG GET", "config|get"},
		{"COMMAND COUNT x", "command|count"},
		{"COMMAND LIST x", "command|list"},
	};
	char want[128];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		snprintf(want, sizeof(want),
			 "-ERR wrong number of arguments for '%s' command\r\n",
			 lines[i][1]);
		expect(lines[i][0], want);
	}
}

/* Commands whose arguments are wrong wherever the token is put. */
static const char *const bad_lines[] = {
	TOKEN,
	TOKEN " " TOKEN,
	TOKEN " x HTTP/1.1",
	"GET " TOKEN,
	"HELLO " TOKEN,
	"HELLO 3 " TOKEN,
	"HELLO 3 AUTH " TOKEN " " TOKEN,
	"HELLO 3 AUTH default",
	"HELLO 3 SETNAME " TOKEN TOKEN,
	"AUTH " TOKEN,
	"AUTH " TOKEN " " TOKEN,
	"AUTH " TOKEN " " TOKEN " " TOKEN,
	"PING " TOKEN " " TOKEN,
	"ECHO " TOKEN " " TOKEN,
	"RESET " TOKEN,
	"SELECT " TOKEN,
	"CLIENT " TOKEN,
	"CLIENT " TOKEN " " TOKEN,
	"CLIENT ID " TOKEN,
	"CLIENT SETNAME " TOKEN TOKEN,
	"CLIENT SETINFO " TOKEN " x",
	"CLIENT SETINFO lib-name " TOKEN TOKEN,
	"CLIENT NO-EVICT " TOKEN,
	"CLIENT LIST " TOKEN,
	"CONFIG " TOKEN,
	"CONFIG SET " TOKEN " x",
	"COMMAND " TOKEN,
	"COMMAND LIST " TOKEN,
	"COMMAND COUNT " TOKEN,
	"COMMAND INFO client client client client client client client " TOKEN,
	"STATS " TOKEN,
	"WHY " TOKEN,
	"MONITOR " TOKEN,
	"VERIFY",
	"MVERIFY " TOKEN,
};

Test(command, no_error_repeats_an_argument)
{
	for (size_t i = 0; i < sizeof(bad_lines) / sizeof(bad_lines[0]); i++) {
		run(bad_lines[i]);
		cr_expect_eq(reply[0], '-', "%s -> %s", bad_lines[i], reply);
		cr_expect_null(strstr((char *)reply, "jt_live"), "%s", reply);
		cr_expect_null(strstr((char *)reply, "Zk3mQ0v9"), "%s", reply);
		cr_expect_null(strstr((char *)reply, "0123456"), "%s", reply);
		cr_expect_eq(strchr((char *)reply, '\n'),
			     (char *)reply + reply_bytes - 1, "one line");
	}
}

Test(command, config_get_answers_two_and_never_fails)
{
	expect("CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
	expect("config get APPENDONLY",
	       "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n");
	expect("CONFIG GET maxmemory", "*0\r\n");
	run("HELLO 3");
	expect("CONFIG GET *", "%0\r\n");
	expect("CONFIG GET appendonly save save x",
	       "%2\r\n$4\r\nsave\r\n$0\r\n\r\n$10\r\nappendonly\r\n$"
	       "2\r\nno\r\n");
}

Test(command, info_says_whether_it_is_loading)
{
	expect("INFO persistence",
	       "$46\r\n# Persistence\r\nloading:0\r\napplied_number:108\r\n"
	       "\r\n");
	is_loading = true;
	run("HELLO 3");
	expect("INFO PERSISTENCE",
	       "=50\r\ntxt:# Persistence\r\nloading:1\r\napplied_number:108\r\n"
	       "\r\n");
	expect("INFO replication", "=4\r\ntxt:\r\n");
}

Test(command, info_has_its_sections)
{
	static const char *const keys[] = {
		"# Server\r\nserver_name:jeton\r\n",
		"\r\njeton_version:" JT_VERSION "\r\n",
		"\r\nredis_mode:standalone\r\n",
		"\r\nuptime_in_seconds:100\r\n",
		"\r\n\r\n# Clients\r\nconnected_clients:101\r\n",
		"\r\nloading:0\r\n",
		"\r\ntotal_commands_processed:103\r\n",
		"\r\nverdict_VALID:131\r\n",
		"\r\n# Table\r\ntokens:104\r\n",
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		cr_expect(strstr(run("info"), keys[i]), "%s", keys[i]);
		cr_expect(strstr(run("INFO all"), keys[i]), "%s", keys[i]);
		cr_expect(strstr(run("INFO server stats Clients table "
				     "persistence"),
				 keys[i]),
			  "%s", keys[i]);
	}
	cr_expect_null(strstr(run("INFO clients"), "# Server"));
}

Test(command, info_has_a_line_for_each_caller)
{
	expect("INFO peers", "$9\r\n# Peers\r\n\r\n");
	rows[0] = (struct jt_peer_row){0, 1, 2, 3, 4};
	rows[1] = (struct jt_peer_row){1, 0, 0, 0, 0};
	rows[2] = (struct jt_peer_row){1002, 5, 6, 7, 8};
	n_rows = 3;
	expect("INFO peers",
	       "$167\r\n# Peers\r\n"
	       "peer_others:connections=1,admitted=2,refused=3,busy=4\r\n"
	       "peer_0:connections=0,admitted=0,refused=0,busy=0\r\n"
	       "peer_1001:connections=5,admitted=6,refused=7,busy=8\r\n\r\n");
	cr_expect(strstr(run("INFO"), "\r\n\r\n# Peers\r\npeer_others:"));
	cr_expect_null(strstr(run("INFO stats"), "peer_"));
}

Test(command, info_has_room_for_all_callers)
{
	const char *at;
	unsigned n = 0;

	memset(rows, 0xff, sizeof(rows));
	counters = UINT64_MAX / 2;
	n_rows = JT_PEERS_MAX;
	for (at = run("INFO"); (at = strstr(at, ",busy=")); at++)
		n++;
	cr_expect_eq(n, JT_PEERS_MAX);
	cr_expect_str_eq(run("INFO") + reply_bytes - 4, "\r\n\r\n");
}

Test(command, stats_is_a_flat_map_of_integers)
{
	cr_expect_eq(strncmp(run("STATS"),
			     "*64\r\n$8\r\nuptime_s\r\n:100\r\n$11\r\n"
			     "connections\r\n:101\r\n",
			     49),
		     0);
	cr_expect(strstr((char *)reply, "$15\r\nverdict_LOADING\r\n:118\r\n"));
	cr_expect(strstr((char *)reply, "$13\r\nverdict_VALID\r\n:131\r\n"));
	run("HELLO 3");
	cr_expect_eq(strncmp(run("stats"), "%32\r\n", 5), 0);
}

/*
 * Walk one RESP value of `reply`; returns its end. Depth without recursion:
 * a header adds its elements to those still wanted.
 */
static size_t end_of_value(size_t at)
{
	size_t wanted = 1;

	while (wanted) {
		char type = (char)reply[at];
		long n = strtol((char *)reply + at + 1, NULL, 10);

		cr_assert_lt(at, reply_bytes);
		at = (size_t)(strstr((char *)reply + at, "\r\n") + 2 -
			      (char *)reply);
		wanted--;
		if (type == '*' || type == '~')
			wanted += (size_t)n;
		else if (type == '%')
			wanted += 2 * (size_t)n;
		else if ((type == '$' || type == '=') && n >= 0)
			at += (size_t)n + 2;
		else
			cr_assert(strchr("+-:_$", type));
	}
	return at;
}

Test(command, every_local_reply_is_one_value_within_its_bound)
{
	static const char *const lines[] = {
		"COMMAND",
		"COMMAND DOCS",
		"COMMAND INFO",
		"COMMAND LIST",
		"COMMAND COUNT",
		"COMMAND DOCS verify nosuch client client|id",
		"COMMAND INFO verify nosuch client client|id",
		"INFO",
		"STATS",
		"CLIENT LIST",
		"CLIENT INFO",
		"HELLO",
		"CONFIG GET save x",
		"PING",
		"CLIENT GETNAME",
		"NOSUCH",
	};

	counters = UINT64_MAX / 2;
	memset(client.name, 'x', JT_CLIENT_NAME_BYTES - 1);
	for (int proto = 2; proto <= 3; proto++)
		for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
			client.proto = proto;
			run(lines[i]);
			cr_expect_eq(end_of_value(0), reply_bytes, "%s",
				     lines[i]);
		}
}

#define INFO_VERIFY(set)                                                       \
	"*10\r\n$6\r\nverify\r\n:-2\r\n" set "2\r\n+write\r\n+fast\r\n"        \
	":0\r\n:0\r\n:0\r\n" set "2\r\n+@write\r\n+@fast\r\n" set "0\r\n" set  \
	"0\r\n*0\r\n"

Test(command, command_info_has_ten_elements)
{
	expect("COMMAND INFO verify nosuch",
	       "*2\r\n" INFO_VERIFY("*") "$-1\r\n");
	run("HELLO 3");
	expect("command info VERIFY nosuch", "*2\r\n" INFO_VERIFY("~") "_\r\n");
	cr_expect(strstr(run("COMMAND INFO config"),
			 "~0\r\n~0\r\n*1\r\n*10\r\n$10\r\nconfig|get\r\n:-3"));
	expect("COMMAND COUNT", ":15\r\n");
	cr_expect_eq(strncmp(run("COMMAND"), "*15\r\n", 5), 0);
	cr_expect_eq(
		strncmp(run("COMMAND LIST"), "*28\r\n$6\r\nverify\r\n", 17), 0);
}

Test(command, command_docs_describe_arguments)
{
	run("HELLO 3");
	expect("COMMAND DOCS ping nosuch ping PING",
	       "%1\r\n$4\r\nping\r\n%5\r\n$7\r\nsummary\r\n$15\r\n"
	       "Ping the server\r\n$5\r\nsince\r\n$5\r\n0.1.0\r\n$5\r\ngroup"
	       "\r\n$10\r\nconnection\r\n$10\r\ncomplexity\r\n$4\r\nO(1)\r\n"
	       "$9\r\narguments\r\n*1\r\n%3\r\n$4\r\nname\r\n$7\r\nmessage\r\n"
	       "$4\r\ntype\r\n$6\r\nstring\r\n$5\r\nflags\r\n~1\r\n+optional"
	       "\r\n");
	cr_expect(strstr(run("COMMAND DOCS hello"),
			 "$9\r\narguments\r\n*1\r\n%4\r\n$4\r\nname\r\n$9\r\n"
			 "arguments\r\n$4\r\ntype\r\n$5\r\nblock\r\n$5\r\n"
			 "flags\r\n~1\r\n+optional\r\n$9\r\narguments\r\n*3\r\n"
			 "%2\r\n$4\r\nname\r\n$8\r\nprotover\r\n"));
	cr_expect(strstr(run("COMMAND DOCS config"),
			 "$11\r\nsubcommands\r\n%1\r\n$10\r\nconfig|get\r\n"));
	cr_expect_eq(strncmp(run("COMMAND DOCS"), "%15\r\n", 5), 0);
}

Test(command, client_list_is_cut_at_a_bound)
{
	counters = 2000; /* as many clients as fit */
	memset(client.name, 'x', JT_CLIENT_NAME_BYTES - 1);
	run("CLIENT LIST");
	cr_expect_gt(reply_bytes, JT_CLIENT_LIST_MAX / 2);
	cr_expect_eq(strcmp((char *)reply + reply_bytes - 3, "\n\r\n"), 0);
}

Test(command, replies_are_cut_safely_at_every_capacity)
{
	struct jt_bytes args[] = {bytes("COMMAND"), bytes("DOCS"),
				  bytes("verify")};
	size_t whole;

	run_args(args, 3);
	whole = reply_bytes;
	for (size_t cap = 0; cap <= whole; cap++) {
		uint8_t *buf = malloc(cap + 1);
		struct jt_out out = {buf, 0, cap, 2, false};

		jt_command_run(&client, &service, args, 3, &out);
		cr_expect_eq(out.overflow, cap < whole);
		cr_expect_leq(out.len, cap);
		cr_expect_arr_eq(buf, reply, out.len);
		free(buf);
	}
}

static enum jt_command_class classify(const char *line)
{
	struct jt_bytes args[JT_RESP_ARGS_MAX];
	char copy[512];

	snprintf(copy, sizeof(copy), "%s", line);
	return jt_command_classify(args, split(copy, args));
}

Test(command, classes_are_told_apart)
{
	cr_expect_eq(classify(""), JT_COMMAND_SKIP);
	cr_expect_eq(classify("VERIFY t"), JT_COMMAND_VERIFY);
	cr_expect_eq(classify("vErIfY t COST 0"), JT_COMMAND_VERIFY);
	cr_expect_eq(classify("VERIFY"), JT_COMMAND_ERROR);
	cr_expect_eq(classify("VERIFZ t"), JT_COMMAND_ERROR);
	cr_expect_eq(classify("\x16\x05\x12\x09\x06\x19 t"), JT_COMMAND_ERROR);
	cr_expect_eq(classify("mverify 1 t"), JT_COMMAND_MVERIFY);
	cr_expect_eq(classify("MVERIFY 1"), JT_COMMAND_ERROR);
	cr_expect_eq(classify("ping"), JT_COMMAND_LOCAL);
	cr_expect_eq(classify("CLIENT ID"), JT_COMMAND_LOCAL);
	cr_expect_eq(classify("CLIENT NOSUCH"), JT_COMMAND_ERROR);
	cr_expect_eq(classify("NOSUCH"), JT_COMMAND_ERROR);
}
