/*
 * asker: see asker.h.
 *
 * Two words go to the child (which token, when its revoke returned) and two
 * come back (the token was VALID, all is asked); what the child wrote before
 * the last one, the probes, is read after it. Times mean the same to both: the
 * clock is the machine's.
 */
#include "bench/asker.h"

#include "bench/ask.h"
#include "bench/machine.h"
#include "bench/scan.h"
#include "shm/atomic.h"
#include "shm/jeton.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BEFORE 4u /* questions at each door before it counts as asked for */
#define AFTER 64u /* and after the revoke has returned */
#define PAUSE_NS 50000
#define PATIENCE_NS 20000000000ull

struct jt_asker_shared {
	_Alignas(64) _Atomic uint64_t wanted; /* its number + 1 */
	_Atomic uint64_t returned_ns;	      /* 0: not yet */
	_Alignas(64) _Atomic uint64_t seen;   /* as `wanted` */
	_Atomic uint64_t done;
	_Atomic uint64_t by_socket;
	_Alignas(64) struct jt_probe probes[JT_ASKER_DOORS];
};

/* In the child. */
struct doors {
	struct jt_asker_shared *shared;
	int fd;
	struct jeton *handle;
};

static void rest(void)
{
	const struct timespec pause = {0, PAUSE_NS};

	nanosleep(&pause, NULL);
}

static int ask_socket(const struct doors *d, const char *token, bool *validp)
{
	char request[128];
	struct jt_scan scan;
	int n = snprintf(request, sizeof(request), "%s%.*s%s", JT_VERIFY_BEFORE,
			 (int)JT_TOKEN_BYTES, token, JT_VERIFY_AFTER);
	int r;

	jt_scan_init(&scan, '$', "VALID");
	r = jt_ask_on(d->fd, request, (size_t)n, &scan);
	*validp = scan.expected;
	if (r || *validp || jt_scan_others(&scan, "REVOKED"))
		return r;
	fprintf(stderr, "the socket says %s: ", scan.others[0].text);
	return -EPROTO;
}

/*
 * When the table has grown, or the keeper is late, libjeton asks the socket:
 * that is its answer, too.
 */
static int ask_inprocess(const struct doors *d, const char *token, bool *validp)
{
	struct jeton_verdict v;
	int r = jeton_verify(d->handle, token, JT_TOKEN_BYTES, NULL, &v);

	*validp = v.word == JETON_VALID;
	if (v.flags & JETON_BY_SOCKET)
		jt_count(&d->shared->by_socket, 1);
	if (!r && !(v.flags & JETON_LOOKED) &&
	    (*validp || v.word == JETON_REVOKED))
		return 0;
	fprintf(stderr, "libjeton says %s, flags %u: ", jeton_word(v.word),
		v.flags);
	return r ? r : -EPROTO;
}

/* One question at each door. */
static int ask_both(struct doors *d, const char *token)
{
	uint64_t asked_ns = jt_machine_now_ns();
	bool valid;
	int r = ask_socket(d, token, &valid);

	jt_probe_add(&d->shared->probes[JT_ASKER_SOCKET], asked_ns,
		     jt_machine_now_ns(), valid);
	if (r)
		return r;
	asked_ns = jt_machine_now_ns();
	r = ask_inprocess(d, token, &valid);
	jt_probe_add(&d->shared->probes[JT_ASKER_INPROCESS], asked_ns,
		     jt_machine_now_ns(), valid);
	return r;
}

static int follow(struct doors *d, uint64_t wanted, const char *token)
{
	struct jt_asker_shared *s = d->shared;
	unsigned before = 0, after = 0;
	int r = 0;

	for (unsigned i = 0; i < JT_ASKER_DOORS; i++)
		jt_probe_init(&s->probes[i]);
	while (!r && after < AFTER) {
		/* relaxed: nothing but the time is read */
		after += jt_load_relaxed(&s->returned_ns) != 0;
		r = ask_both(d, token);
		if (!r && ++before == BEFORE)
			/* relaxed: the parent reads no probe yet */
			jt_store_relaxed(&s->seen, wanted);
	}
	if (!r)
		/* pairs with wait_for() */
		jt_store_release(&s->done, wanted);
	return r;
}

static int serve(void *arg)
{
	const struct jt_asker *a = arg;
	struct doors d = {.shared = a->shared};
	uint64_t done = 0, wanted;
	int r = jeton_attach(a->run, 0, &d.handle);

	d.fd = jt_ask_connect(a->socket);
	if (!r && d.fd < 0)
		r = d.fd;
	while (!r) {
		/* pairs with jt_asker_follow(): returned_ns is 0 again */
		wanted = jt_load_acquire(&a->shared->wanted);
		if (wanted == done) {
			rest();
			continue;
		}
		r = follow(&d, wanted, a->tokens->values[wanted - 1]);
		done = wanted;
	}
	return r;
}

static int wait_for(struct jt_asker *a, _Atomic uint64_t *word, uint64_t value)
{
	uint64_t end_ns = jt_machine_now_ns() + PATIENCE_NS;
	int r = 0;

	/* pairs with follow(): the probes are whole */
	while (!r && jt_load_acquire(word) != value) {
		rest();
		if (jt_process_interrupted())
			r = -EINTR;
		else if (!jt_process_alive(&a->process))
			r = -ESRCH;
		else if (jt_machine_now_ns() > end_ns)
			r = -ETIME;
	}
	if (r && r != -EINTR) {
		fprintf(stderr, "jeton-bench: asking for a token: %s\n",
			strerror(-r));
		jt_process_show_log(&a->process);
	}
	return r;
}

int jt_asker_start(struct jt_asker *a)
{
	a->shared = mmap(NULL, sizeof(*a->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (a->shared == MAP_FAILED) {
		a->shared = NULL;
		return -errno;
	}
	return jt_process_fork(&a->process, -1, a->log, serve, a);
}

void jt_asker_stop(struct jt_asker *a)
{
	jt_process_stop(&a->process);
	if (a->shared)
		munmap(a->shared, sizeof(*a->shared));
	a->shared = NULL;
}

int jt_asker_follow(struct jt_asker *a, size_t token)
{
	/* relaxed: the store after it makes both seen */
	jt_store_relaxed(&a->shared->returned_ns, 0);
	/* pairs with serve() */
	jt_store_release(&a->shared->wanted, token + 1);
	return wait_for(a, &a->shared->seen, token + 1);
}

int jt_asker_finish(struct jt_asker *a, uint64_t returned_ns)
{
	/* relaxed: nothing but the number is read */
	jt_store_relaxed(&a->shared->returned_ns, returned_ns);
	/* relaxed: this process wrote it */
	return wait_for(a, &a->shared->done,
			jt_load_relaxed(&a->shared->wanted));
}

const struct jt_probe *jt_asker_probe(const struct jt_asker *a,
				      enum jt_asker_door door)
{
	return &a->shared->probes[door];
}

uint64_t jt_asker_by_socket(const struct jt_asker *a)
{
	/* relaxed: nothing but the number is read */
	return jt_load_relaxed(&a->shared->by_socket);
}
