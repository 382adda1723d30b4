/* verify: one token from standard input, verified in this process.
 *
 *     cc verify.c $(pkg-config --cflags --libs jeton) -o verify
 *     printf %s "$TOKEN" | ./verify [RUN_DIRECTORY]
 */
#include <jeton.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct jeton *handle;
	struct jeton_verdict v;
	char token[JETON_TOKEN_MAX];
	size_t n = fread(token, 1, sizeof(token), stdin);
	int rc = jeton_attach(argc > 1 ? argv[1] : NULL, 0, &handle);

	if (rc) {
		fprintf(stderr, "verify: %s\n", jeton_strerror(rc));
		return 2;
	}
	rc = jeton_verify(handle, token, n, NULL, &v);
	if (rc)
		fprintf(stderr, "verify: %s\n", jeton_strerror(rc));
	printf("%s %u %s %s\n", jeton_word(v.word), v.status, v.id, v.owner);
	jeton_detach(handle);
	memset(token, 0, sizeof(token));
	return v.word != JETON_VALID;
}
