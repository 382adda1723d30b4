/*
 * wide: private arrays of the keeper and the scribe, as long as the table is
 * large, that become longer without being copied.
 *
 * Zeroed memory of whole pages that takes room as it is touched. What grows may
 * move, but its pages do not: the kernel moves where they are seen, some
 * milliseconds for gigabytes. No child inherits it: a fork copies no table of
 * its pages, and later writes copy no page.
 */
#ifndef JT_SIDECAR_WIDE_H
#define JT_SIDECAR_WIDE_H

#include <stddef.h>

/* N elements of BYTES each; NULL: not enough memory. */
void *jt_wide_new(size_t n, size_t bytes);

/* AT has N of them, and shall have MORE, those behind zeroed; NULL: AT stays.
 */
void *jt_wide_grow(void *at, size_t n, size_t more, size_t bytes);

/* AT may be NULL. */
void jt_wide_free(void *at, size_t n, size_t bytes);

#endif
