/*
 * memory: how much more could be taken without somebody being killed for it.
 *
 * Shared memory that is short is not refused by the kernel: it ends a process
 * instead. So it is asked before much is taken.
 */
#ifndef JT_SIDECAR_MEMORY_H
#define JT_SIDECAR_MEMORY_H

#include <stdint.h>

/*
 * Bytes that the machine has to give, and the cgroups that this process is in
 * (version 2); where neither says, UINT64_MAX.
 */
uint64_t jt_memory_left(void);

/*
 * Bytes in free pieces of 2 MB and more, as the machine says; else 0. What is
 * taken of these is there at once. Beyond them the kernel makes large pages by
 * moving other pages about, those of whoever verifies among them, who then
 * waits for milliseconds.
 */
uint64_t jt_memory_large_left(void);

#endif
