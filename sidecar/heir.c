/*
 * heir: see heir.h.
 *
 * That the older keeper is gone is told by its link: a process whose
 * descriptors are closed runs no code any more, though the rest of its end may
 * take the kernel ten seconds (an inotify queue is taken apart by a worker of
 * its own). Once the estate is here that changes nothing: we come to serve
 * without it. Its workers may answer a moment longer, and until they cannot a
 * SYNC waits. They are looked at as processes, through descriptors that came
 * with the estate.
 */
#include "sidecar/heir.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OFFER_MS 10000

static void drop(int *fdp)
{
	if (*fdp >= 0)
		close(*fdp);
	*fdp = -1;
}

void jt_heir_init(struct jt_heir *h)
{
	memset(h, 0, sizeof(*h));
	h->link = h->queue = h->way_out = h->estate = -1;
	h->inherited.meters = -1;
	for (unsigned i = 0; i < JT_DOORS_N; i++)
		h->doors[i] = -1;
}

static int refuse(struct jt_fault *faultp, const char *why)
{
	return jt_fault_set(faultp, -EPROTO, 0, 0,
			    "the daemon before does not hand over: %s", why);
}

/* In the order of `have`; anything else is none of this form. */
static bool take_doors(struct jt_heir *h, const int *fds, unsigned n)
{
	unsigned at = 0;

	for (unsigned i = 0; i < JT_DOORS_N; i++)
		if (h->offer.have & 1u << i) {
			if (at == n)
				return false;
			h->doors[i] = fds[at++];
		}
	h->inherited = (struct jt_inherited){
		.meters = h->doors[JT_DOOR_METERS],
		.seed = h->offer.seed,
		.capacity = h->offer.capacity,
	};
	h->doors[JT_DOOR_METERS] = -1;
	return at == n && h->doors[JT_DOOR_SERVING_LOCK] >= 0 &&
	       h->doors[JT_DOOR_RUN_LOCK] >= 0 && h->inherited.meters >= 0;
}

static int take_offer(struct jt_heir *h, struct jt_fault *faultp)
{
	struct pollfd link = {.fd = h->link, .events = POLLIN};
	int fds[JT_HANDOVER_FDS], rc;
	unsigned n;

	if (poll(&link, 1, OFFER_MS) <= 0)
		return refuse(faultp, "it says nothing");
	rc = jt_handover_receive(h->link, &h->offer, fds, &n);
	if (rc)
		return refuse(faultp, rc == -EPROTO ? "its words are of "
						      "another form"
						    : strerror(-rc));
	if (h->offer.kind == JT_HANDOVER_OFFER && take_doors(h, fds, n))
		return 0;
	return refuse(faultp, "it offers something else");
}

static int open_queue(struct jt_heir *h)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	h->queue = ends[0];
	h->way_out = ends[1];
	return 0;
}

int jt_heir_begin(struct jt_heir *h, const char *version,
		  struct jt_fault *faultp)
{
	struct jt_handover_word hello = {.kind = JT_HANDOVER_HELLO};
	int rc;

	h->link = jt_handover_link();
	if (h->link < 0)
		return 0;
	snprintf(hello.text, sizeof(hello.text), "%s", version);
	rc = jt_handover_send(h->link, &hello, NULL, 0);
	if (rc)
		return refuse(faultp, strerror(-rc));
	rc = take_offer(h, faultp);
	if (rc)
		return rc;
	rc = open_queue(h);
	if (rc)
		return refuse(faultp, strerror(-rc));
	h->phase = JT_HEIR_LEARNS;
	return 0;
}

int jt_heir_ready(struct jt_heir *h, uint64_t number)
{
	struct jt_handover_word word = {.kind = JT_HANDOVER_READY,
					.number = number};
	int rc = jt_handover_send(h->link, &word, &h->way_out, 1);

	if (rc)
		return rc;
	drop(&h->way_out);
	h->phase = JT_HEIR_READY;
	return 0;
}

void jt_heir_serves(struct jt_heir *h, uint64_t number)
{
	struct jt_handover_word word = {.kind = JT_HANDOVER_SERVING,
					.number = number};

	/* who is not there to hear it is noticed as gone */
	(void)jt_handover_send(h->link, &word, NULL, 0);
	h->phase = JT_HEIR_SERVES;
	h->told = number;
}

static void take_estate(struct jt_heir *h, const int *fds, unsigned n)
{
	h->estate = fds[0];
	memcpy(h->pidfds, fds + 1, (n - 1) * sizeof(fds[0]));
	h->n_pidfds = n - 1;
	h->phase = JT_HEIR_GIVEN;
}

static void hear(struct jt_heir *h, const struct jt_handover_word *word,
		 const int *fds, unsigned n)
{
	if (word->number > h->theirs)
		h->theirs = word->number;
	h->said_goodbye |= word->kind == JT_HANDOVER_GONE;
	if (word->kind == JT_HANDOVER_ESTATE && h->phase == JT_HEIR_READY &&
	    n > 0)
		take_estate(h, fds, n);
	else
		jt_handover_close(fds, n);
}

/* True: the link has ended. */
static bool hear_all(struct jt_heir *h)
{
	struct jt_handover_word word;
	int fds[JT_HANDOVER_FDS], rc;
	unsigned n;

	while (!(rc = jt_handover_receive(h->link, &word, fds, &n)))
		hear(h, &word, fds, n);
	return rc != -EAGAIN;
}

/* A descriptor of a process can be read when that has ended. */
static bool all_dead(struct jt_heir *h)
{
	while (h->n_pidfds) {
		struct pollfd fd = {.fd = h->pidfds[h->n_pidfds - 1],
				    .events = POLLIN};

		if (poll(&fd, 1, 0) <= 0)
			return false;
		close(fd.fd);
		h->n_pidfds--;
	}
	return true;
}

static void tell(struct jt_heir *h, uint64_t applied)
{
	struct jt_handover_word word = {.kind = JT_HANDOVER_APPLIED,
					.number = applied};

	if (applied != h->told && !jt_handover_send(h->link, &word, NULL, 0))
		h->told = applied;
}

enum jt_heir_event jt_heir_tend(struct jt_heir *h, uint64_t applied)
{
	if (h->phase == JT_HEIR_NONE)
		return JT_HEIR_GOES_ON;
	if (h->link >= 0 && hear_all(h))
		drop(&h->link);
	if (h->link >= 0) {
		if (h->phase == JT_HEIR_SERVES)
			tell(h, applied);
		return JT_HEIR_GOES_ON;
	}
	if (h->phase < JT_HEIR_GIVEN)
		return JT_HEIR_GAVE_UP;
	if (h->phase == JT_HEIR_GIVEN)
		return JT_HEIR_GOES_ON; /* to serve: it has all */
	if (!all_dead(h))
		return JT_HEIR_GOES_ON;
	h->phase = JT_HEIR_NONE;
	drop(&h->queue); /* who reads from it has an end of its own */
	return JT_HEIR_ALONE;
}

void jt_heir_hurry(struct jt_heir *h)
{
	struct jt_handover_word word = {.kind = JT_HANDOVER_HURRY,
					.number = h->told};

	if (h->phase == JT_HEIR_SERVES && h->link >= 0 && !h->hurried)
		h->hurried = !jt_handover_send(h->link, &word, NULL, 0);
}

uint64_t jt_heir_theirs(const struct jt_heir *h)
{
	return h->phase >= JT_HEIR_GIVEN ? h->theirs : UINT64_MAX;
}

void jt_heir_deinit(struct jt_heir *h)
{
	drop(&h->link);
	drop(&h->queue);
	drop(&h->way_out);
	drop(&h->estate);
	drop(&h->inherited.meters);
	jt_handover_close(h->pidfds, h->n_pidfds);
	h->n_pidfds = 0;
	h->phase = JT_HEIR_NONE;
}
