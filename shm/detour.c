/*
 * detour: see detour.h. The protocol is sidecar/jeton-protocol.7.
 *
 * hiredis formats the question and parses the answer; what is sent and received
 * passes through buffers of ours: the question is wiped, no signal is raised
 * when the daemon is gone, and an answer that announces more than a verdict
 * holds never reaches the parser, which would believe it.
 *
 * A connection that was kept may be dead since; then the question goes out once
 * more on a new one. A daemon that died with the first may have counted it: a
 * limit is spent once too often, never too rarely.
 */
#include "shm/detour.h"

#include "shm/attach.h"
#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX 4096u
#define FIELDS 11u
#define ARGS_MAX (2 + 2 + 2 * JETON_SCOPES_MAX + 2)
#define ARRAY "*11\r\n"

struct question {
	char *bytes;
	size_t n;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void jt_detour_end(struct jt_detour *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

static int format(const struct jt_ask *ask, const char *env, struct question *q)
{
	const char *args[ARGS_MAX] = {"VERIFY", (const char *)ask->token.at};
	size_t bytes[ARGS_MAX] = {6, ask->token.bytes};
	char cost[24];
	int n = 2;

	if (env) {
		args[n] = "ENV", bytes[n++] = 3;
		args[n] = env, bytes[n++] = strlen(env);
	}
	for (uint32_t i = 0; i < ask->n_scopes; i++) {
		args[n] = "SCOPE", bytes[n++] = 5;
		args[n] = (const char *)ask->scopes[i].at;
		bytes[n++] = ask->scopes[i].bytes;
	}
	args[n] = "COST", bytes[n++] = 4;
	args[n] = cost;
	bytes[n++] = (size_t)snprintf(cost, sizeof(cost), "%llu",
				      (unsigned long long)ask->cost);
	if (!ask->token.bytes)
		args[1] = "";
	n = redisFormatCommandArgv(&q->bytes, n, args, bytes);
	if (n < 0)
		return -ENOMEM;
	q->n = (size_t)n;
	return 0;
}

/* May these bytes be the beginning of a verdict, or of an error? */
static bool is_plausible(const char *answer, size_t n)
{
	size_t head = n < strlen(ARRAY) ? n : strlen(ARRAY);

	return (answer[0] == '-' || memcmp(answer, ARRAY, head) == 0) &&
	       !memmem(answer, n, "\n*", 2);
}

static int take(redisReader *reader, int fd, redisReply **replyp)
{
	uint64_t end_ms = now_ms() + JETON_PATIENCE_MS, now;
	char answer[ANSWER_MAX];
	size_t n = 0;

	while (n < sizeof(answer) && (now = now_ms()) < end_ms) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		void *reply = NULL;
		ssize_t got;

		if (poll(&p, 1, (int)(end_ms - now)) == 0)
			break;
		got = recv(fd, answer + n, sizeof(answer) - n, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got <= 0)
			return got ? -errno : -ECONNRESET;
		n += (size_t)got;
		if (!is_plausible(answer, n) ||
		    redisReaderFeed(reader, answer + n - got, (size_t)got) ||
		    redisReaderGetReply(reader, &reply))
			return -EPROTO;
		if (reply) {
			*replyp = reply;
			return 0;
		}
	}
	return n < sizeof(answer) ? -ETIME : -EPROTO;
}

/* One question on the connection that there is. */
static int exchange(int fd, const struct question *q, redisReply **replyp)
{
	redisReader *reader;
	ssize_t sent;
	int rc;

	/* nothing else is under way, so it fits whole or something is wrong */
	sent = send(fd, q->bytes, q->n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent != (ssize_t)q->n)
		return sent < 0 ? -errno : -ETIME;
	reader = redisReaderCreate();
	if (!reader)
		return -ENOMEM;
	rc = take(reader, fd, replyp);
	redisReaderFree(reader);
	return rc;
}

static int ask_anew(struct jt_detour *d, const char *run,
		    const struct question *q, redisReply **replyp)
{
	int rc;

	jt_detour_end(d);
	rc = jt_attach_dial(run, JT_DETOUR_NAME, &d->fd);
	return rc ? rc : exchange(d->fd, q, replyp);
}

static int read_error(const char *text)
{
	static const struct {
		const char *word;
		int error;
	} known[] = {
		{"LOADING ", -EAGAIN},
		{"BUSY ", -EBUSY},
		{"NOPERM ", -EACCES},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strncmp(text, known[i].word, strlen(known[i].word)) == 0)
			return known[i].error;
	return -EPROTO;
}

static bool is_verdict(const redisReply *r)
{
	static const char kinds[] = "$:$:::::$:$";

	if (r->type != REDIS_REPLY_ARRAY || r->elements != FIELDS)
		return false;
	for (size_t i = 0; i < FIELDS; i++)
		if (r->element[i]->type != (kinds[i] == ':'
						    ? REDIS_REPLY_INTEGER
						    : REDIS_REPLY_STRING))
			return false;
	return true;
}

static bool read_word(const char *text, struct jeton_verdict *v)
{
	for (v->word = 0; v->word < JT_WORDS_N; v->word++)
		if (strcmp(text, jt_word_name((enum jt_word)v->word)) == 0)
			return true;
	return false;
}

static int32_t place_of(const char *scope, const struct jt_ask *ask)
{
	size_t n = strlen(scope);

	for (uint32_t i = 0; i < ask->n_scopes; i++)
		if (ask->scopes[i].bytes == n &&
		    memcmp(ask->scopes[i].at, scope, n) == 0)
			return (int32_t)i;
	return -1;
}

/* "OLD_VALUE,SCOPE:name" */
static void read_notes(char *text, const struct jt_ask *ask,
		       struct jeton_verdict *v)
{
	char *one;

	while ((one = strsep(&text, ","))) {
		if (strcmp(one, "OLD_VALUE") == 0)
			v->notes |= JETON_NOTE_OLD_VALUE;
		else if (strcmp(one, "EXPIRING") == 0)
			v->notes |= JETON_NOTE_EXPIRING;
		else if (strcmp(one, "NEVER") == 0)
			v->notes |= JETON_NOTE_NEVER;
		else if (strncmp(one, "SCOPE:", 6) == 0) {
			v->notes |= JETON_NOTE_SCOPE;
			v->missing = place_of(one + 6, ask);
		}
	}
}

static uint64_t positive(long long number)
{
	return number > 0 ? (uint64_t)number : 0;
}

static int read_verdict(const redisReply *r, const struct jt_ask *ask,
			struct jeton_verdict *v)
{
	redisReply **f = r->element;

	if (r->type == REDIS_REPLY_ERROR)
		return read_error(r->str);
	memset(v, 0, sizeof(*v));
	if (!is_verdict(r) || !read_word(f[0]->str, v) ||
	    v->word == JETON_LOADING || (size_t)f[2]->len >= sizeof(v->id))
		return -EPROTO;
	v->status = jt_word_status((enum jt_word)v->word);
	v->missing = -1;
	v->expires_in_s = positive(f[3]->integer);
	v->limit = f[4]->integer;
	v->remaining = f[5]->integer;
	v->reset_ms = positive(f[6]->integer);
	v->retry_after_ms = f[7]->integer;
	v->applied = positive(f[9]->integer);
	snprintf(v->id, sizeof(v->id), "%s", f[2]->str);
	snprintf(v->owner, sizeof(v->owner), "%s", f[8]->str);
	read_notes(f[10]->str, ask, v);
	return 0;
}

int jt_detour_ask(struct jt_detour *d, const char *run,
		  const struct jt_ask *ask, const char *env,
		  struct jeton_verdict *verdict)
{
	bool kept = d->fd >= 0;
	redisReply *reply = NULL;
	struct question q;
	int rc = format(ask, env, &q);

	if (rc)
		return rc;
	rc = kept ? exchange(d->fd, &q, &reply) : ask_anew(d, run, &q, &reply);
	if (kept && (rc == -EPIPE || rc == -ECONNRESET))
		rc = ask_anew(d, run, &q, &reply);
	sodium_memzero(q.bytes, q.n);
	redisFreeCommand(q.bytes);
	if (!rc)
		rc = read_verdict(reply, ask, verdict);
	freeReplyObject(reply);
	if (rc)
		jt_detour_end(d);
	return rc;
}
