/*
 * process: children of the benchmark: started pinned, watched, measured,
 * stopped.
 *
 * A child dies with the benchmark (PR_SET_PDEATHSIG), stands in a process
 * group of its own, so that ^C reaches the benchmark alone, and writes stdout
 * and stderr to its log. One process, one thread. Errors: negative errno;
 * -EINTR: the user wants to stop.
 */
#ifndef JT_BENCH_PROCESS_H
#define JT_BENCH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct jt_process {
	pid_t pid; /* 0: none */
	char log[192];
};

/*
 * SIGINT and SIGTERM no longer kill the benchmark but make
 * jt_process_interrupted() true, so that it can clean up. Call once, first.
 */
void jt_process_catch_signals(void);
bool jt_process_interrupted(void);

/* Run BODY(ARG) in a child, pinned to CPU (-1: free); it exits 1 or never. */
int jt_process_fork(struct jt_process *p, int cpu, const char *log,
		    int (*body)(void *arg), void *arg);

/* Run the program ARGV[0] (with PATH) likewise. */
int jt_process_exec(struct jt_process *p, int cpu, const char *log,
		    const char *const argv[]);

/* Wait for its end; exit status in *STATUSP, 128 + signal if killed. */
int jt_process_wait(struct jt_process *p, int *statusp);
bool jt_process_alive(struct jt_process *p);

/* CPU time of the child and its descendants so far, user and system. */
uint64_t jt_process_cpu_ns(const struct jt_process *p);
/* Of the child alone. */
uint64_t jt_process_alone_cpu_ns(const struct jt_process *p);

/*
 * Memory in large pages (2 MB) that one of the family maps: shared memory and
 * its own, of the one with the most. 0 where the kernel does not say.
 */
void jt_process_large_pages(const struct jt_process *p, uint64_t *shared_bytesp,
			    uint64_t *own_bytesp);
void jt_process_large_pages_of(pid_t pid, uint64_t *shared_bytesp,
			       uint64_t *own_bytesp);

/* Copy the end of its log to stderr. */
void jt_process_show_log(const struct jt_process *p);

/* SIGTERM, and SIGKILL after 5 s. Nothing if it never started. */
void jt_process_stop(struct jt_process *p);

#endif
