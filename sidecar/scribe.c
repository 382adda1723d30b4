/*
 * scribe: see scribe.h.
 *
 * A round begins every PERIOD and is spread over SPREAD, in slices with rests
 * between, so that it neither takes a core for long nor wakes up often. What is
 * counted right after its line was looked at is durable when the next round's
 * flush returns: PERIOD + SPREAD + the flush, together below five seconds. When
 * a ticket waits there is no rest.
 *
 * After a round that failed the next one comes later and later, up to
 * BACKOFF_MAX; a ticket is served at once all the same.
 */
#include "sidecar/scribe.h"

#include "sidecar/crossing.h"
#include "sidecar/log.h"
#include "sidecar/sweep.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define NS_PER_MS 1000000ull
#define PERIOD_NS (3000 * NS_PER_MS)
#define SPREAD_MS 500u
#define BACKOFF_MAX_NS (60000 * NS_PER_MS)
#define LOADING_MS 100u /* between looks whether it serves now */
#define STALE_MS 10u	/* and whether the larger table has come */

struct scribe {
	const struct jt_scribe_args *args;
	struct jt_maps maps;
	struct jt_crossing crossing;
	struct jt_sweep sweep;
	struct jt_self self;
	uint32_t layers;
	uint64_t asked, answered; /* tickets */
	uint64_t next_ns, backoff_ns;
	bool over; /* the keeper has closed the link */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	/* not the boot clock: a suspend is no reason to write */
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 * NS_PER_MS + (uint64_t)t.tv_nsec;
}

/* Rest for at most MS; take the tickets that have come. */
static void listen_for(struct scribe *s, unsigned ms)
{
	struct pollfd link = {.fd = s->args->link, .events = POLLIN};
	uint64_t ticket;
	ssize_t n;

	if (poll(&link, 1, (int)ms) <= 0)
		return;
	n = recv(link.fd, &ticket, sizeof(ticket), MSG_DONTWAIT);
	if (n == (ssize_t)sizeof(ticket))
		s->asked = ticket > s->asked ? ticket : s->asked;
	else if (n >= 0 || (errno != EAGAIN && errno != EINTR))
		s->over = true;
}

/* Also when the keeper has ended it for others: there is the last round yet. */
static bool is_serving(const struct scribe *s)
{
	/* pairs with the keeper's store once the meters are restored */
	return jt_load_acquire(&s->maps.identity->state) != JT_IDENTITY_LOADING;
}

static unsigned rest_ms(const struct scribe *s)
{
	return SPREAD_MS / (s->sweep.lines / JT_SWEEP_SLICE + 1);
}

static int round_once(struct scribe *s)
{
	int rc = jt_sweep_begin(&s->sweep);

	if (rc)
		return rc;
	while ((rc = jt_sweep_slice(&s->sweep)) == 1) {
		listen_for(s, s->asked > s->answered ? 0 : rest_ms(s));
		if (s->over)
			return -ECANCELED;
	}
	return rc ? rc : jt_sweep_end(&s->sweep);
}

static void answer(struct scribe *s, uint64_t ticket, int rc)
{
	struct jt_scribe_word word = {
		.ticket = ticket, .rc = rc, .layers = s->layers};

	jt_self_look(&s->self, &word.figures);
	s->answered = ticket;
	/* a keeper that takes no answers waits for none */
	if (send(s->args->link, &word, sizeof(word),
		 MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	    errno != EAGAIN)
		s->over = true;
}

static void plan_next(struct scribe *s, uint64_t began_ns, int rc)
{
	if (!rc)
		s->backoff_ns = PERIOD_NS;
	else if (s->backoff_ns < BACKOFF_MAX_NS)
		s->backoff_ns *= 2;
	s->next_ns = began_ns + s->backoff_ns;
}

/* It has time: all of it at once, before a round. Negative errno. */
static int follow(struct scribe *s)
{
	int rc = 0;

	do
		if (jt_crossing_look(&s->crossing))
			rc = jt_sweep_widen(&s->sweep);
	while (!rc && jt_crossing_busy(&s->crossing));
	return !rc && jt_crossing_is_lost(&s->crossing) ? -ESTALE : rc;
}

static int serve(struct scribe *s)
{
	while (!s->over) {
		uint64_t ticket, began_ns = now_ns();
		int rc = follow(s);

		if (rc)
			return rc;
		if (!is_serving(s)) {
			listen_for(s, LOADING_MS);
			continue;
		}
		if (began_ns < s->next_ns && s->asked == s->answered) {
			listen_for(s, (unsigned)((s->next_ns - began_ns) /
						 NS_PER_MS) +
					      1);
			continue;
		}
		ticket = s->asked;
		rc = round_once(s);
		if (!rc && jt_sweep_is_stale(&s->sweep)) {
			/* some were left out: once more, in the larger one */
			listen_for(s, STALE_MS);
			continue;
		}
		answer(s, ticket, rc);
		plan_next(s, began_ns, rc);
	}
	return 0;
}

int jt_scribe_run(const struct jt_scribe_args *args)
{
	static struct scribe s;
	int rc;

	s.args = args;
	s.backoff_ns = PERIOD_NS;
	jt_self_open(&s.self);
	rc = jt_segment_look(&args->segments, &s.maps);
	if (!rc)
		rc = jt_sweep_init(&s.sweep, &s.maps, args->io, args->dir_fd);
	if (rc) {
		jt_log(JT_LOG_ERROR, "the scribe cannot start: %s",
		       strerror(rc < 0 ? -rc : EPROTO));
		return 1;
	}
	jt_crossing_init(&s.crossing, args->crossing, &s.maps, NULL);
	s.layers = jt_sandbox_enter(args->box, JT_SANDBOX_SCRIBE);
	rc = serve(&s);
	jt_sweep_deinit(&s.sweep);
	if (!rc)
		return 0;
	jt_log(JT_LOG_ERROR, "the scribe cannot go on: %s", strerror(-rc));
	return 1;
}
