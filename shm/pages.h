/*
 * pages: memory in pages of 2 MB, where the kernel gives them.
 *
 * A table of a million tokens is 100 MB. In pages of 4 KB each look at it
 * misses the processor's table of translations as well as its caches; in pages
 * of 2 MB it misses the caches alone. No call here fails for want of large
 * pages: then there are small ones. Any process.
 */
#ifndef JT_SHM_PAGES_H
#define JT_SHM_PAGES_H

#include <stddef.h>

#define JT_PAGES_LARGE (2u << 20)

/*
 * Map FD shared, at an address that large pages can have. NULL: errno says why.
 */
void *jt_pages_map(int fd, size_t bytes, int prot);

/*
 * Give BYTES of FD from FROM on, which is mapped writable at MAP by the above,
 * their memory: a later touch never fails. *LARGEP grows by how much of it is
 * in large pages. 0 or negative errno; -ENOMEM, -ENOSPC: there is not so much
 * memory.
 */
int jt_pages_fill(int fd, void *map, size_t from, size_t bytes, size_t *largep);

/*
 * Zeroed private memory that costs nothing before it is touched. NULL: none.
 */
void *jt_pages_reserve(size_t bytes);

#endif
