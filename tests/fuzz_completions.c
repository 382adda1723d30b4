/*
 * fuzz_completions: a worker's connections under any completions in any order
 * (tests/help_completions.h says which, and what must hold).
 */
#include "tests/help_completions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct help_completions done = {0};

	help_completions_run(data, size, &done);
	return 0;
}
