/*
 * jeton: see jeton.h, which is the manual.
 *
 * Order of a call: clock - lease - state - slot. A successor of a killed keeper
 * says "done" only after the lease that its predecessor last gave is over
 * (sidecar/attach.c), so a call that begins after a revoke returned reads a
 * clock beyond that lease and does not believe the old memory; and with the
 * same keeper the slot itself says so. A call that read its clock before may
 * take as long as it likes: it began before.
 *
 * Ways, the first that is open:
 *   fast    this handle's maps, while believes()
 *   slow    attach anew: at most every RETRY_NS a connection, looked at once a
 *           call, never waited for
 *           meanwhile ask over the socket (detour.c), with a time-out
 *           else deny
 *
 * A table that has grown is retired, and the larger one is attached to on the
 * slow way; meters and memo stay.
 *
 * The handle lives in a page of its own that a child finds zeroed
 * (MADV_WIPEONFORK), so `alive` tells without a system call. Memo and maps are
 * not in the child at all (MADV_DONTFORK): a memo's key and tags are not handed
 * on, and a child that was meant to give up rights has no meters to write.
 *
 * Who only looks has the meters read-only and asks with cost 0, which writes to
 * nothing (verify.c).
 */
#include "shm/jeton.h"

#include "shm/attach.h"
#include "shm/detour.h"
#include "shm/pages.h"
#include "shm/table.h"
#include "shm/verify.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ALIVE 0x6e6f74656a20656dull
#define GROUP 32u
#define RUN_ROOT "/run/jeton"
#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define TICK_MAX_NS (20 * NS_PER_MS)  /* two of the slowest ticks */
#define RETRY_NS (50 * NS_PER_MS)     /* between connections */
#define REFUSED_NS (5000 * NS_PER_MS) /* the same when we may not attach */
#define GIVE_UP_NS (1000 * NS_PER_MS) /* on one that says nothing */
#define ATTACH_NS (2000 * NS_PER_MS)  /* jeton_attach() waits so long */
#define LEFT_STEP_BYTES (2u << 20)    /* unmapped in one call */
#define SCOPE_MAX 48u /* as at the socket: shorter than a token */
#define ENV_MAX 255u

/* what is longer is in no table */
static_assert(JETON_TOKEN_MAX == JT_OTHER_BYTES_MAX, "longest value");

#define X(name, status)                                                        \
	static_assert((int)JETON_##name == (int)JT_##name, #name);
JT_WORDS(X)
#undef X
static_assert(JETON_NOTE_OLD_VALUE == JT_NOTE_OLD_VALUE, "notes");
static_assert(JETON_NOTE_EXPIRING == JT_NOTE_EXPIRING, "notes");
static_assert(JETON_NOTE_NEVER == JT_NOTE_NEVER, "notes");
static_assert(JETON_NOTE_SCOPE == JT_NOTE_SCOPE, "notes");
static_assert(sizeof(struct jeton_verdict) == 224, "part of the interface");
static_assert(offsetof(struct jeton_verdict, id) == 68, "likewise");
static_assert(offsetof(struct jeton_verdict, reserved) == 160, "likewise");
static_assert(sizeof(struct jeton_options) == 32, "likewise");

struct jeton {
	uint64_t alive; /* ALIVE; else this is a child's copy */
	struct jt_maps maps;
	/* which meters those are: of one daemon, for all its tables */
	dev_t meters_dev;
	ino_t meters_ino;
	/* what is left of the table before, unmapped in steps */
	char *left;
	size_t left_bytes;
	struct jt_memo memo;
	size_t memo_bytes;
	bool only_looks; /* it wants to, or may no more */
	unsigned flags;
	int calling; /* connected, the keeper has not answered; -1 */
	uint64_t call_at_ns, give_up_ns;
	struct jt_detour detour;
	char run[108];
	/* of one call */
	struct jt_bytes scopes[JETON_SCOPES_MAX];
	struct jt_ask asks[GROUP];
	struct jt_verdict verdicts[GROUP];
	struct jt_tally tally;
};

/*
 * Wall time is wanted in whole seconds, so the clock of the last timer tick
 * will do, at a fraction of the cost, but for just before a second is full.
 */
static uint64_t wall_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	if (t.tv_nsec >= (long)(NS_PER_S - TICK_MAX_NS))
		clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec;
}

static struct jt_now now_is(void)
{
	struct timespec boot;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (struct jt_now){
		.wall_s = wall_s(),
		.boot_ns = (uint64_t)boot.tv_sec * NS_PER_S +
			   (uint64_t)boot.tv_nsec,
	};
}

/* ---- the maps ---- */

static bool believes(const struct jeton *h, uint64_t boot_ns)
{
	const struct jt_identity *id = h->maps.identity;

	/* both pair with jt_attaches_run() and jt_attaches_retire() */
	return id && jt_load_acquire(&id->lease_ns) > boot_ns &&
	       jt_load_acquire(&id->state) == JT_IDENTITY_SERVING;
}

static void forget(struct jeton *h)
{
	if (h->left_bytes)
		munmap(h->left, h->left_bytes);
	h->left_bytes = 0;
	jt_segment_unmap(&h->maps);
	if (h->memo.lines) {
		sodium_memzero(h->memo.lines, h->memo_bytes);
		munmap(h->memo.lines, h->memo_bytes);
	}
	jt_memo_deinit(&h->memo);
}

/* What a child must not have. */
static int keep_from_children(const void *at, size_t bytes)
{
	void *p;

	memcpy(&p, &at, sizeof(p)); /* madvise takes no const */
	return madvise(p, bytes, MADV_DONTFORK) ? -errno : 0;
}

static int make_memo(struct jeton *h)
{
	size_t bytes = jt_memo_bytes(h->maps.capacity);
	void *memory = jt_pages_reserve(bytes);

	if (!memory)
		return -errno;
	h->memo_bytes = bytes;
	jt_memo_init(&h->memo, memory, bytes);
	return keep_from_children(memory, bytes);
}

/*
 * No lease reaches beyond JT_LEASE_NS from now. One that does is by another
 * boot clock: in a time namespace of its own a process would believe a dead
 * keeper for as long as the two are apart.
 */
static bool same_clock(const struct jt_identity *id)
{
	/* pairs with jt_attaches_run(); before the clock, which it is not to
	 * overtake */
	uint64_t lease_ns = jt_load_acquire(&id->lease_ns);

	return lease_ns <= now_is().boot_ns + JT_LEASE_NS;
}

/* A step of what takes long for a large table: some 30 ns a page. */
static void unmap_left(struct jeton *h, size_t most)
{
	size_t n = h->left_bytes < most ? h->left_bytes : most;

	if (!n)
		return;
	munmap(h->left, n);
	h->left += n;
	h->left_bytes -= n;
}

static bool same_meters(const struct jeton *h, const struct stat *st, bool look)
{
	return h->maps.identity && h->only_looks == look &&
	       h->meters_dev == st->st_dev && h->meters_ino == st->st_ino;
}

/*
 * A larger table of the same daemon (sidecar/growth.h): meters and memo are as
 * good as before, for its keys are the same. Not 0: it is not one.
 */
static int follow(struct jeton *h, int identity)
{
	struct jt_maps next;
	void *left;
	int rc = jt_segment_follow(identity, &h->maps, &next);

	if (rc)
		return rc;
	if (!same_clock(next.identity) ||
	    keep_from_children(next.identity, next.identity_bytes)) {
		jt_segment_leave(&next);
		return -EPROTO;
	}
	unmap_left(h, SIZE_MAX);
	memcpy(&left, &h->maps.identity, sizeof(left)); /* it is const */
	h->left = left;
	h->left_bytes = h->maps.identity_bytes;
	h->maps = next;
	return 0;
}

/* Instead of all that there was. */
static int begin_anew(struct jeton *h, const struct jt_segment_fds *fds)
{
	int rc;

	forget(h);
	rc = h->only_looks ? jt_segment_look(fds, &h->maps)
			   : jt_segment_map(fds, &h->maps);
	if (rc)
		return rc == -ENOMEM ? rc : -EPROTO;
	rc = same_clock(h->maps.identity)
		     ? keep_from_children(h->maps.identity,
					  h->maps.identity_bytes)
		     : -EPROTO;
	if (!rc)
		rc = keep_from_children(h->maps.meters, h->maps.meters_bytes);
	if (!rc)
		rc = make_memo(h);
	if (rc)
		forget(h);
	return rc;
}

/* Take these instead of what there was. The descriptors are closed. */
static int take(struct jeton *h, const struct jt_segment_fds *fds,
		enum jt_attach_right right)
{
	bool look = right == JT_ATTACH_LOOK || h->flags & JETON_LOOK;
	struct stat st = {0};
	int rc = fstat(fds->meters, &st) ? -errno : 0;

	if (rc || !same_meters(h, &st, look) || follow(h, fds->identity)) {
		h->only_looks = look;
		rc = begin_anew(h, fds);
	}
	h->meters_dev = st.st_dev;
	h->meters_ino = st.st_ino;
	close(fds->identity);
	close(fds->meters);
	return rc;
}

/* ---- attaching, without waiting ---- */

static void hang_up(struct jeton *h)
{
	if (h->calling >= 0)
		close(h->calling);
	h->calling = -1;
}

static int error_of(int rc)
{
	if (rc == JT_ATTACH_E_RIGHT)
		return -EACCES;
	if (rc == JT_ATTACH_E_LOADING)
		return -EAGAIN;
	return rc > 0 ? -EPROTO : rc;
}

/* 0: attached. -EINPROGRESS: not yet. */
static int call(struct jeton *h, uint64_t boot_ns)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;
	int rc;

	if (h->calling < 0) {
		if (boot_ns < h->call_at_ns)
			return -EINPROGRESS;
		h->call_at_ns = boot_ns + RETRY_NS;
		h->give_up_ns = boot_ns + GIVE_UP_NS;
		rc = jt_attach_dial(h->run, JT_ATTACH_NAME, &h->calling);
		if (rc)
			return rc == -EAGAIN ? -EINPROGRESS : rc;
	}
	rc = jt_attach_take(h->calling, &fds, &right);
	if (rc == -EAGAIN) {
		if (boot_ns > h->give_up_ns)
			hang_up(h);
		return -EINPROGRESS;
	}
	hang_up(h);
	if (rc == JT_ATTACH_E_RIGHT)
		h->call_at_ns = boot_ns + REFUSED_NS;
	return rc ? error_of(rc) : take(h, &fds, right);
}

/* ---- the ways ---- */

static uint64_t capped(uint64_t bytes, uint64_t most)
{
	return bytes < most ? bytes : most;
}

static void tell(const struct jt_ask *ask, const struct jt_verdict *v,
		 uint64_t applied, struct jeton_verdict *out)
{
	uint64_t n = capped(v->owner.bytes, sizeof(out->owner) - 1);

	memset(out, 0, sizeof(*out));
	out->word = v->word;
	out->status = jt_word_status(v->word);
	out->notes = v->notes;
	out->expires_in_s = v->expires_in_s;
	out->limit = v->limit;
	out->remaining = v->remaining;
	out->reset_ms = v->reset_ms;
	out->retry_after_ms = v->retry_after_ms;
	out->applied = applied;
	out->missing = -1;
	for (uint32_t i = 0; v->scope.at && i < ask->n_scopes; i++)
		if (ask->scopes[i].at == v->scope.at)
			out->missing = (int32_t)i;
	if (v->id)
		memcpy(out->id, v->id, JT_PUBLIC_BYTES);
	if (n)
		memcpy(out->owner, v->owner.at, n);
}

static void deny(struct jeton_verdict *out)
{
	memset(out, 0, sizeof(*out));
	out->word = JETON_LOADING;
	out->status = jt_word_status(JT_LOADING);
	out->limit = out->remaining = out->missing = -1;
}

/* Who only looks pays nothing, whatever was asked. */
static void set_cost(struct jeton *h, size_t n, uint64_t cost)
{
	for (size_t i = 0; i < n; i++)
		h->asks[i].cost = h->only_looks ? 0 : cost;
}

/* What all questions of a call have in common. */
struct question {
	const char *env; /* as it was given; NULL: any */
	struct jt_ask ask;
};

/* False: the state changed under our eyes. */
static bool by_memory(struct jeton *h, size_t n, const struct question *q,
		      struct jt_now now, struct jeton_verdict *out)
{
	/* pairs with the feed's store: what it counts is in the table */
	uint64_t applied = jt_load_acquire(&h->maps.identity->applied);

	set_cost(h, n, q->ask.cost);
	jt_verify(&h->maps, &h->memo, h->asks, h->verdicts, n, now, &h->tally);
	if (h->verdicts[0].word == JT_LOADING)
		return false;
	for (size_t i = 0; i < n; i++) {
		tell(&h->asks[i], &h->verdicts[i], applied, &out[i]);
		out[i].flags = h->only_looks ? JETON_LOOKED : 0;
	}
	return true;
}

static bool is_too_long(const struct jt_ask *ask, struct jeton_verdict *out)
{
	if (ask->token.bytes <= JETON_TOKEN_MAX)
		return false;
	deny(out);
	out->word = JETON_MALFORMED;
	out->status = jt_word_status(JT_MALFORMED);
	return true;
}

static int by_socket(struct jeton *h, size_t n, const struct question *q,
		     struct jeton_verdict *out)
{
	int rc = 0;

	set_cost(h, n, q->ask.cost);
	for (size_t i = 0; i < n && !rc; i++) {
		if (is_too_long(&h->asks[i], &out[i]))
			continue; /* the socket would not take it */
		rc = jt_detour_ask(&h->detour, h->run, &h->asks[i], q->env,
				   &out[i]);
		if (!rc)
			out[i].flags = JETON_BY_SOCKET |
				       (h->only_looks ? JETON_LOOKED : 0);
	}
	return rc;
}

/* Back on the fast way: nothing is kept open for the other. */
__attribute__((noinline, cold)) static void tidy(struct jeton *h)
{
	hang_up(h);
	jt_detour_end(&h->detour);
	unmap_left(h, LEFT_STEP_BYTES);
}

__attribute__((noinline, cold)) static int by_detour(struct jeton *h, size_t n,
						     const struct question *q,
						     struct jt_now now,
						     struct jeton_verdict *out)
{
	/* whatever came of it shows in what is believed then */
	(void)call(h, now.boot_ns);
	if (!believes(h, now.boot_ns) || !by_memory(h, n, q, now, out))
		return by_socket(h, n, q, out);
	tidy(h);
	return 0;
}

/* Have the first memory that is looked at on its way while the clock is read.
 * Nothing is loaded yet, so what is decided is from after that. */
static void hasten(const struct jeton *h, const struct jeton_token *token)
{
	uint64_t key;

	if (!h->maps.identity || token->bytes != JT_TOKEN_BYTES || !token->at)
		return;
	key = jt_token_key(token->at, h->maps.identity->seed);
	__builtin_prefetch(&h->maps.slots[jt_table_home(&h->maps, key)]);
	__builtin_prefetch(jt_memo_line(&h->memo, key));
}

/* Up to GROUP requests. */
static int decide(struct jeton *h, size_t n, const struct jeton_token *tokens,
		  const struct question *q, struct jeton_verdict *out)
{
	struct jt_now now;

	hasten(h, &tokens[0]);
	for (size_t i = 0; i < n; i++) {
		h->asks[i] = q->ask;
		/* one byte too many is as wrong as all of them; none too many
		 * could be the beginning of a good one */
		h->asks[i].token = (struct jt_bytes){
			tokens[i].at,
			tokens[i].at ? (uint32_t)capped(tokens[i].bytes,
							JETON_TOKEN_MAX + 1)
				     : 0};
	}
	now = now_is();
	if (!believes(h, now.boot_ns) || !by_memory(h, n, q, now, out))
		return by_detour(h, n, q, now, out);
	if (h->calling >= 0 || h->detour.fd >= 0 || h->left_bytes)
		tidy(h);
	return 0;
}

/* ---- a question ---- */

static bool scope_ok(const char *scope, size_t bytes)
{
	if (!bytes || bytes > SCOPE_MAX)
		return false;
	for (size_t i = 0; i < bytes; i++)
		if (scope[i] < '!' || scope[i] > '~' || scope[i] == ',')
			return false;
	return true;
}

static int read_options(struct jeton *h, const struct jeton_options *o,
			struct question *q)
{
	*q = (struct question){.ask = {.cost = 1, .scopes = h->scopes}};
	if (!o)
		return 0;
	if (o->size < sizeof(*o) || o->n_scopes > JETON_SCOPES_MAX ||
	    o->cost > JETON_COST_MAX || (o->n_scopes && !o->scopes))
		return -EINVAL;
	for (uint32_t i = 0; i < o->n_scopes; i++) {
		const char *scope = o->scopes[i];
		size_t bytes = scope ? strnlen(scope, SCOPE_MAX + 1) : 0;

		if (!scope_ok(scope, bytes))
			return -EINVAL;
		h->scopes[i] = (struct jt_bytes){(const uint8_t *)scope,
						 (uint32_t)bytes};
	}
	q->ask.n_scopes = o->n_scopes;
	q->ask.cost = o->cost;
	q->env = o->env;
	if (o->env && strlen(o->env) > ENV_MAX)
		return -EINVAL; /* the socket takes 4 KiB; no name is as long */
	q->ask.env = o->env ? jt_env_word(o->env, strlen(o->env)) : 0;
	q->ask.env_unknown = o->env && !q->ask.env;
	return 0;
}

int jeton_verify_batch(struct jeton *h, size_t n,
		       const struct jeton_token *tokens,
		       const struct jeton_options *options,
		       struct jeton_verdict *verdicts)
{
	struct question q;
	size_t i = 0, some;
	int rc;

	if (!n)
		return 0;
	if (!h || !tokens || !verdicts)
		rc = -EINVAL;
	else if (h->alive != ALIVE)
		rc = -ECHILD;
	else
		rc = read_options(h, options, &q);
	for (; !rc && i < n; i += some) {
		some = capped(n - i, GROUP);
		rc = decide(h, some, tokens + i, &q, verdicts + i);
		if (rc)
			break;
	}
	for (; verdicts && i < n; i++)
		deny(&verdicts[i]);
	return rc;
}

int jeton_verify(struct jeton *h, const void *token, size_t bytes,
		 const struct jeton_options *options,
		 struct jeton_verdict *verdict)
{
	const struct jeton_token one = {token, bytes};

	return jeton_verify_batch(h, 1, &one, options, verdict);
}

/* ---- from beginning to end ---- */

/* RUN, or where a sidecar is usually found. */
static int find_run(const char *run, char out[sizeof(((struct jeton *)0)->run)])
{
	const char *dir = run ? run : secure_getenv("JETON_RUN");
	const char *own = secure_getenv("XDG_RUNTIME_DIR");
	size_t max = sizeof(((struct jeton *)0)->run);
	char path[PATH_MAX];

	if (dir && *dir)
		return snprintf(out, max, "%s", dir) < (int)max ? 0
								: -ENAMETOOLONG;
	if (run)
		return -EINVAL;
	if (geteuid() && own && own[0] == '/' &&
	    snprintf(path, sizeof(path), "%s/jeton/%s", own, JT_ATTACH_NAME) <
		    (int)sizeof(path) &&
	    access(path, F_OK) == 0 &&
	    snprintf(out, max, "%s/jeton", own) < (int)max)
		return 0;
	snprintf(out, max, "%s", RUN_ROOT);
	return 0;
}

static int make(const char *run, unsigned flags, struct jeton **hp)
{
	struct jeton *h;
	int rc;

	h = mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (h == MAP_FAILED)
		return -errno;
	h->alive = ALIVE;
	h->flags = flags;
	h->only_looks = flags & JETON_LOOK;
	h->calling = h->detour.fd = -1;
	rc = madvise(h, sizeof(*h), MADV_WIPEONFORK) ? -errno
						     : find_run(run, h->run);
	if (rc)
		munmap(h, sizeof(*h));
	else
		*hp = h;
	return rc;
}

/* Until the keeper has answered, or for ATTACH_NS. */
static int call_and_wait(struct jeton *h)
{
	uint64_t now_ns = now_is().boot_ns, end_ns = now_ns + ATTACH_NS;
	int rc;

	while ((rc = call(h, now_ns)) == -EINPROGRESS && now_ns < end_ns) {
		struct pollfd p = {.fd = h->calling, .events = POLLIN};

		/* not connected: all places there are taken */
		poll(&p, 1, (int)(RETRY_NS / NS_PER_MS));
		now_ns = now_is().boot_ns;
	}
	return rc == -EINPROGRESS ? -ETIME : rc;
}

int jeton_attach(const char *run, unsigned flags, struct jeton **handlep)
{
	struct jeton *h = NULL;
	int rc;

	if (!handlep)
		return -EINVAL;
	*handlep = NULL;
	if (flags & ~(JETON_LOOK | JETON_ANYHOW))
		return -EINVAL;
	if (sodium_init() < 0)
		return -ENOSYS;
	rc = make(run, flags, &h);
	if (!rc)
		rc = call_and_wait(h);
	if (h && rc && !(flags & JETON_ANYHOW)) {
		jeton_detach(h);
		return rc;
	}
	*handlep = h;
	return h ? 0 : rc;
}

void jeton_detach(struct jeton *h)
{
	if (!h)
		return;
	if (h->alive == ALIVE) {
		tidy(h);
		forget(h);
	}
	munmap(h, sizeof(*h));
}

/* ---- words ---- */

const char *jeton_word(uint32_t word)
{
	return word < JT_WORDS_N ? jt_word_name((enum jt_word)word) : "?";
}

unsigned jeton_status(uint32_t word)
{
	return jt_word_status(word < JT_WORDS_N ? (enum jt_word)word
						: JT_LOADING);
}

unsigned jeton_api(void)
{
	return JETON_API;
}

const char *jeton_strerror(int error)
{
	static const struct {
		int error;
		const char *text;
	} texts[] = {
		{0, "no error"},
		{EINVAL, "an argument or option that jeton does not take"},
		{ENOENT, "no sidecar runs there: its sockets are not there"},
		{ECONNREFUSED, "no sidecar runs there"},
		{ECONNRESET, "the sidecar went away"},
		{EAGAIN, "the sidecar is still loading its tokens"},
		{EACCES, "the sidecar does not let this user"},
		{EBUSY, "the sidecar has too many connections"},
		{ETIME, "the sidecar did not answer in time"},
		{EPROTO, "what answers there is no jetond of this version"},
		{ECHILD, "the handle is the parent process's; attach anew"},
	};
	const char *text;

	error = error < 0 ? -error : error;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].error == error)
			return texts[i].text;
	text = strerrordesc_np(error);
	return text ? text : "unknown error";
}
