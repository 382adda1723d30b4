/*
 * drive: a fuzzer's main where there is no libFuzzer. Each file named is an
 * input, run once; a failed assertion or a sanitizer ends it. So what was found
 * stays found in every flavour, by any compiler.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX (1u << 20)
#define PATIENCE_S 10u /* for one input */

int LLVMFuzzerInitialize(int *argcp, char ***argvp) __attribute__((weak));
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of just its size, so that a sanitizer sees a look beyond. */
static void run(const char *path)
{
	static uint8_t bytes[INPUT_MAX];
	FILE *in = fopen(path, "re");
	uint8_t *copy;
	size_t n;

	if (!in) {
		fprintf(stderr, "drive: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	n = fread(bytes, 1, sizeof(bytes), in);
	fclose(in);
	copy = malloc(n + !n);
	if (!copy)
		exit(2);
	memcpy(copy, bytes, n);
	alarm(PATIENCE_S);
	LLVMFuzzerTestOneInput(copy, n);
	alarm(0);
	free(copy);
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');

	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		run(argv[i]);
	printf("%s: %d inputs\n", name ? name + 1 : argv[0], argc - 1);
	return argc > 1 ? 0 : 1;
}
