/*
 * machine: what this machine is, its clock, and what its neighbours steal.
 *
 * Any process, one thread. What cannot be read is an empty string or 0: a
 * benchmark goes on without it.
 */
#ifndef JT_BENCH_MACHINE_H
#define JT_BENCH_MACHINE_H

#include <stdint.h>
#include <time.h>

struct jt_machine {
	char kernel[128];
	char cpu[128];
	char thp_shmem[32];    /* the chosen word of shmem_enabled */
	char thp[32];	       /* the chosen word of enabled */
	char mitigations[512]; /* "spectre_v2: ..., ...", the active ones */
	double memory_gb;
	unsigned page_bytes;
	unsigned cpus; /* that this process may use */
	int server_cpu;
	int client_cpu; /* the same one if there is only one */
};

void jt_machine_read(struct jt_machine *m);

/* Of the two cores together (or of the one), since boot; 10 ms steps. */
struct jt_machine_times {
	uint64_t stolen_ns; /* the host ran something else */
	uint64_t idle_ns;
};
void jt_machine_times(const struct jt_machine *m, struct jt_machine_times *t);

/* Stolen since FROM, which was at FROM_NS: a share of one core's time. */
double jt_machine_stolen(const struct jt_machine *m,
			 const struct jt_machine_times *from, uint64_t from_ns);

/* CPU time of the calling process. */
uint64_t jt_machine_own_cpu_ns(void);

/* Keep the calling process, and what it starts, on CPU. 0 or -errno. */
int jt_machine_pin(int cpu);

static inline uint64_t jt_machine_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
