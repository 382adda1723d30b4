/*
 * attach: how a process that verifies by itself comes by the two segments.
 *
 * It connects to `jeton-attach.sock` and says nothing. The keeper looks at who
 * that is (SO_PEERCRED) and sends, in one message, either one byte, why not,
 * or a greeting with two descriptors, identity and meters, and closes. Here are
 * the client's side and what both sides have to agree on; the keeper's is
 * sidecar/attach.h.
 *
 * Errors: negative errno; JT_ATTACH_E_*.
 */
#ifndef JT_SHM_ATTACH_H
#define JT_SHM_ATTACH_H

#include "shm/segment.h"

#define JT_ATTACH_NAME "jeton-attach.sock"
#define JT_ATTACH_MAGIC 0x3148434154544a4aull

/*
 * So long after its last turn a keeper's segments are believed. It renews the
 * lease (jt_identity.lease_ns); its successor promises nothing before the last
 * one is over.
 */
#define JT_LEASE_NS 500000000ull
#define JT_LEASE_STEP_NS 50000000ull /* no need to renew more often */

enum jt_attach_right {
	JT_ATTACH_NO = 0,
	JT_ATTACH_LOOK,	 /* meters read-only: nothing is spent or counted */
	JT_ATTACH_SPEND, /* meters writable */
};

/* Also what stands in the one byte of a refusal. */
enum {
	JT_ATTACH_E_RIGHT = 1, /* this caller may not */
	JT_ATTACH_E_LOADING,   /* not serving yet, or no longer */
	JT_ATTACH_E_FOREIGN,   /* not what a keeper of this build says */
};

struct jt_greeting {
	uint64_t magic;	  /*  0 */
	uint32_t version; /*  8 JT_LAYOUT_VERSION */
	uint32_t right;	  /* 12 enum jt_attach_right, not NO */
	uint64_t result;  /* 16 0 */
};
static_assert(sizeof(struct jt_greeting) == 24, "greeting");

/* A socket called RUN/NAME, connected. -EAGAIN: too many wait there. */
int jt_attach_dial(const char *run, const char *name, int *fdp);

/*
 * What the keeper has sent. -EAGAIN: nothing yet; -ECONNRESET: it went away.
 * The descriptors are the caller's, close-on-exec, and not looked at.
 */
int jt_attach_take(int fd, struct jt_segment_fds *fdsp,
		   enum jt_attach_right *rightp);

#endif
