/* wide: see wide.h. */
#include "sidecar/wide.h"

#include <sys/mman.h>

void *jt_wide_new(size_t n, size_t bytes)
{
	void *at = mmap(NULL, n * bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	/* mremap() keeps it; where it is refused forks only cost more */
	(void)madvise(at, n * bytes, MADV_DONTFORK);
	return at;
}

void *jt_wide_grow(void *at, size_t n, size_t more, size_t bytes)
{
	at = mremap(at, n * bytes, more * bytes, MREMAP_MAYMOVE);
	return at == MAP_FAILED ? NULL : at;
}

void jt_wide_free(void *at, size_t n, size_t bytes)
{
	if (at)
		munmap(at, n * bytes);
}
