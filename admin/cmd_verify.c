/*
 * jeton verify: ask the running sidecar about a token, in plain words.
 *
 * The value comes from stdin or a file, never from argv. It passes through
 * buffers of ours alone, which are wiped: hiredis only formats the request and
 * reads the reply.
 */
#include "admin/advice.h"
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/door.h"
#include "admin/expiry.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <termios.h>
#include <unistd.h>

#define VALUE_MAX 4096 /* what the RESP door takes */
#define REPLY_FIELDS 11
#define ARGS_MAX (2 + 2 + 2 * JT_SCOPES_GIVEN_MAX + 2)

struct value {
	char bytes[VALUE_MAX + 2];
	size_t n;
};

/* Typed by hand: one line, not shown. */
static ssize_t read_typed(char *out, size_t max)
{
	struct termios old, quiet;
	ssize_t n;

	if (tcgetattr(STDIN_FILENO, &old) < 0)
		return -1;
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	jt_note("type or paste the token, then Enter; it is not shown");
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	n = read(STDIN_FILENO, out, max);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
	return n;
}

static ssize_t read_some(int fd, char *out, size_t max)
{
	ssize_t n;

	if (fd == STDIN_FILENO && isatty(fd))
		return read_typed(out, max);
	do
		n = read(fd, out, max);
	while (n < 0 && errno == EINTR);
	return n;
}

/* All of it, without one trailing newline. */
static int read_value(int fd, const char *name, struct value *v)
{
	ssize_t n;

	v->n = 0;
	do {
		n = read_some(fd, v->bytes + v->n, sizeof(v->bytes) - v->n);
		if (n < 0)
			return jt_fail(JT_EXIT_FILE, "%s: %s", name,
				       strerror(errno));
		v->n += (size_t)n;
	} while (n > 0 && v->n < sizeof(v->bytes) &&
		 !(fd == STDIN_FILENO && isatty(fd)));
	if (v->n && v->bytes[v->n - 1] == '\n')
		v->n -= v->n > 1 && v->bytes[v->n - 2] == '\r' ? 2 : 1;
	if (v->n > VALUE_MAX)
		return jt_fail(
			JT_EXIT_NO,
			"%s holds more than %d bytes, which is no token; "
			"give the value alone",
			name, VALUE_MAX);
	return 0;
}

static int get_value(const struct jt_args *a, struct value *v)
{
	int fd = STDIN_FILENO, e;

	if (a->file)
		fd = open(a->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return jt_fail(JT_EXIT_FILE,
			       "%s: %s; name a file that holds "
			       "the token",
			       a->file, strerror(errno));
	e = read_value(fd, a->file ? a->file : "stdin", v);
	if (a->file)
		close(fd);
	return e;
}

static char *format(const struct jt_args *a, const struct value *v, int *np)
{
	const char *argv[ARGS_MAX] = {"VERIFY", v->bytes};
	size_t bytes[ARGS_MAX] = {6, v->n};
	char *request = NULL;
	int n = 2;

	if (a->env) {
		argv[n++] = "ENV";
		argv[n++] = a->env;
	}
	for (size_t i = 0; i < a->n_scopes; i++) {
		argv[n++] = "SCOPE";
		argv[n++] = a->scopes[i];
	}
	if (a->cost) {
		argv[n++] = "COST";
		argv[n++] = a->cost;
	}
	for (int i = 2; i < n; i++)
		bytes[i] = strlen(argv[i]);
	*np = redisFormatCommandArgv(&request, n, argv, bytes);
	return *np < 0 ? NULL : request;
}

/* NULL: WHY. */
static redisReply *ask(redisContext *ctx, const struct jt_args *a,
		       const struct value *v, char why[JT_WHY_MAX])
{
	void *reply = NULL;
	int n, e;
	char *request = format(a, v, &n);

	if (!request) {
		snprintf(why, JT_WHY_MAX, "not enough memory");
		return NULL;
	}
	e = jt_write_all(ctx->fd, request, (size_t)n);
	sodium_memzero(request, (size_t)n);
	redisFreeCommand(request);
	if (e == 0 && redisGetReply(ctx, &reply) == REDIS_OK)
		return reply;
	snprintf(why, JT_WHY_MAX, "no reply: %s",
		 e ? strerror(-e) : ctx->errstr);
	return NULL;
}

static bool is_verdict(const redisReply *r)
{
	static const int types[REPLY_FIELDS] = {
		REDIS_REPLY_STRING,  REDIS_REPLY_INTEGER, REDIS_REPLY_STRING,
		REDIS_REPLY_INTEGER, REDIS_REPLY_INTEGER, REDIS_REPLY_INTEGER,
		REDIS_REPLY_INTEGER, REDIS_REPLY_INTEGER, REDIS_REPLY_STRING,
		REDIS_REPLY_INTEGER, REDIS_REPLY_STRING,
	};

	if (r->type != REDIS_REPLY_ARRAY || r->elements != REPLY_FIELDS)
		return false;
	for (size_t i = 0; i < REPLY_FIELDS; i++)
		if (r->element[i]->type != types[i])
			return false;
	return true;
}

static void put_limit(struct jt_sheet *s, redisReply **f)
{
	char human[96];

	snprintf(human, sizeof(human),
		 "%lld of %lld left, all again in %lld ms", f[5]->integer,
		 f[4]->integer, f[6]->integer);
	jt_sheet_number(s, "limit", "Limit", f[4]->integer,
			f[4]->integer < 0 ? "none" : human);
	if (s->style != JT_STYLE_TABLE) {
		jt_sheet_number(s, "remaining", "Remaining", f[5]->integer,
				NULL);
		jt_sheet_number(s, "reset_ms", "Reset", f[6]->integer, NULL);
	}
	jt_sheet_number(s, "retry_after_ms", "Retry after", f[7]->integer,
			f[7]->integer < 0 ? "never" : NULL);
}

static int put(redisReply **f, bool json)
{
	uint64_t now_s = jt_io_os.wall_ns() / 1000000000u;
	uint64_t left_s = f[3]->integer > 0 ? (uint64_t)f[3]->integer : 0;
	const char *word = f[0]->str, *notes = f[10]->str;
	char distance[JT_TIME_TEXT];
	struct jt_sheet s;

	jt_time_distance(now_s + left_s, now_s, distance);
	jt_sheet_begin(&s, json);
	jt_sheet_text(&s, "verdict", "Verdict", word, NULL);
	jt_sheet_number(&s, "status", "HTTP status", f[1]->integer, NULL);
	jt_sheet_text(&s, "id", "Id", f[2]->str, *f[2]->str ? NULL : "unknown");
	jt_sheet_text(&s, "owner", "Owner", f[8]->str, NULL);
	jt_sheet_number(&s, "expires_in_s", "Expires", f[3]->integer,
			left_s ? distance : "-");
	put_limit(&s, f);
	jt_sheet_number(&s, "applied", "Journal", f[9]->integer, NULL);
	jt_sheet_text(&s, "notes", "Notes", notes, *notes ? NULL : "-");
	jt_sheet_text(&s, "advice", "What to do", jt_advice(word, notes), NULL);
	jt_sheet_end(&s);
	return strcmp(word, "VALID") == 0 ? 0 : JT_EXIT_NO;
}

static int judge(const redisReply *r, bool json)
{
	if (r->type == REDIS_REPLY_ERROR)
		return jt_door_refused(r->str, "verify");
	if (!is_verdict(r))
		return jt_fail(JT_EXIT_SIDECAR,
			       "what listens on the socket is no jeton of this "
			       "version; see `jeton status`");
	return put(r->element, json);
}

static int verify(const struct jt_cmd *cmd, struct value *v)
{
	char why[JT_WHY_MAX] = "";
	redisReply *reply = NULL;
	redisContext *ctx;
	int e = get_value(&cmd->args, v);

	if (e)
		return e;
	ctx = jt_door_open(&cmd->paths, why);
	if (ctx)
		reply = ask(ctx, &cmd->args, v, why);
	sodium_memzero(v, sizeof(*v));
	if (reply)
		e = judge(reply, cmd->json);
	else
		e = jt_door_closed(why);
	if (reply)
		freeReplyObject(reply);
	if (ctx)
		redisFree(ctx);
	return e;
}

int jt_cmd_verify(const struct jt_cmd *cmd)
{
	const struct rlimit none = {0, 0};
	const char *cost = cmd->args.cost;
	struct value v;
	int e;

	if (cost &&
	    (strspn(cost, "0123456789") != strlen(cost) || strlen(cost) > 18))
		return jt_fail(JT_EXIT_USAGE, "--cost is not a whole number");
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	e = verify(cmd, &v);
	sodium_memzero(&v, sizeof(v));
	return e;
}
