/*
 * way: long work makes way for whoever waits for its processor.
 *
 * A process that wakes up waits until the turn of the one that runs is over: 3
 * or 4 ms, which a verdict would come later. So all of the daemon's ask for
 * turns of 0.1 ms (Linux 6.12; the share of the processor stays what it was),
 * and what works for longer than that offers its turn now and then. Where turns
 * are not to be had shorter nothing is offered either: there, who yields to
 * somebody busy waits for a long time.
 *
 * Made by any thread, once begun.
 */
#ifndef JT_SIDECAR_WAY_H
#define JT_SIDECAR_WAY_H

#include <stdint.h>

/* Once, before there are threads; children inherit it. */
void jt_way_begin(void);

/* At step number STEP of a loop: at every EACH-th of them. */
void jt_way_make(uint64_t step, uint64_t each);

#endif
