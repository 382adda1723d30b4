/*
 * help_completions: a worker's connections over a loop that is made up.
 *
 * Bytes decide what ends next: which operation, with which result, in which
 * order, with ends of former tenants between, and ends that come twice. All
 * else is real: seats, connections, round, and descriptors, to see which are
 * closed. Used by fuzz_completions and, with bytes from a seed, by
 * test_completions.
 *
 * Each peer sends ECHOs of a nonce of its own, and is to be sent their replies,
 * in order, and nothing else. What must hold is asserted; broken, it aborts.
 */
#ifndef JT_TESTS_HELP_COMPLETIONS_H
#define JT_TESTS_HELP_COMPLETIONS_H

#include <stddef.h>
#include <stdint.h>

struct help_completions {
	uint64_t opened, closed, ended, stale, twice, replies, cut_short;
};

/* One life of a worker. Adds what it did to DONE. */
void help_completions_run(const uint8_t *data, size_t size,
			  struct help_completions *done);

#endif
