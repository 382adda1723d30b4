/*
 * self: what a process of the daemon knows of itself: CPU, memory, descriptors.
 *
 * Any process, for itself alone; files are opened once, before rights are given
 * up. What cannot be had is 0.
 */
#ifndef JT_SIDECAR_SELF_H
#define JT_SIDECAR_SELF_H

#include <stdint.h>

struct jt_self {
	int statm, fds; /* in /proc/self; -1: could not be opened */
	unsigned looks;
	uint64_t n_fds; /* as last counted one by one */
};

struct jt_figures {
	uint64_t cpu_ns;   /* since the process was forked */
	uint64_t resident; /* bytes, shared ones too */
	uint64_t open_fds;
};

/* After the fork: files of /proc/self stay those of who opened them. */
void jt_self_open(struct jt_self *self);

/* Three system calls, some microseconds; a few times a second. */
void jt_self_look(struct jt_self *self, struct jt_figures *figuresp);

#endif
