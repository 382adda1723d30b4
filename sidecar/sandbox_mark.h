/*
 * sandbox_mark: how a process knows that it is inside the keeper's sandbox.
 *
 * getpriority(2) of a kind of thing that there is not, which the kernel answers
 * with EINVAL and the keeper's filter with EXFULL. Nothing in the environment
 * can be forged, and nothing has to be handed over.
 */
#ifndef JT_SIDECAR_SANDBOX_MARK_H
#define JT_SIDECAR_SANDBOX_MARK_H

#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#define JT_MARK_ASKED 0x6a746f6e
#define JT_MARK_ANSWER EXFULL

static inline bool jt_sandbox_is_inside(void)
{
	return syscall(SYS_getpriority, JT_MARK_ASKED, 0) == -1 &&
	       errno == JT_MARK_ANSWER;
}

#endif
