/* tokens: see tokens.h. */
#include "bench/tokens.h"

#include "bench/random.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_BYTES (2u << 20)

static bool is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z') || c == '_';
}

/* The first run of exactly 64 token characters in LINE, or NULL. */
static const char *find_token(const char *line)
{
	size_t n;

	while (*line) {
		for (n = 0; is_token_char(line[n]);)
			n++;
		if (n == JT_TOKEN_BYTES)
			return line;
		line += n + (line[n] != '\0');
	}
	return NULL;
}

static int reserve(struct jt_tokens *t, size_t *roomp, size_t want)
{
	void *more;

	if (want <= *roomp)
		return 0;
	*roomp = want > 2 * *roomp ? want : 2 * *roomp;
	more = realloc(t->values, *roomp * JT_TOKEN_BYTES);
	if (!more)
		return -ENOMEM;
	t->values = more;
	return 0;
}

static int read_lines(struct jt_tokens *t, FILE *f)
{
	size_t room = 0, line_room = 0;
	const char *token;
	char *line = NULL;
	int r = 0;

	while (!r && getline(&line, &line_room, f) >= 0) {
		token = find_token(line);
		if (!token)
			continue;
		r = reserve(t, &room, t->n + 1);
		if (!r)
			memcpy(t->values[t->n++], token, JT_TOKEN_BYTES);
	}
	if (!r && ferror(f))
		r = -EIO;
	free(line);
	return r;
}

int jt_tokens_read(struct jt_tokens *t, const char *path)
{
	FILE *f = fopen(path, "re");
	int r;

	memset(t, 0, sizeof(*t));
	if (!f)
		return -errno;
	r = read_lines(t, f);
	if (!r && !t->n)
		r = -ENODATA;
	if (r)
		jt_tokens_free(t);
	fclose(f);
	return r;
}

int jt_tokens_append(struct jt_tokens *t, const struct jt_tokens *more)
{
	void *values =
		realloc(t->values, (t->n + more->n) * sizeof(t->values[0]));

	if (!values)
		return -ENOMEM;
	t->values = values;
	memcpy(t->values + t->n, more->values, more->n * sizeof(t->values[0]));
	t->n += more->n;
	return 0;
}

int jt_tokens_make(struct jt_tokens *t, size_t n)
{
	size_t room = 0;
	int r;

	memset(t, 0, sizeof(*t));
	if (sodium_init() < 0)
		return -EIO;
	r = reserve(t, &room, n);
	if (r)
		return r;
	for (t->n = 0; t->n < n; t->n++)
		jt_token_make("jt", "live", t->values[t->n]);
	return 0;
}

void jt_tokens_shuffle(struct jt_tokens *t, uint64_t seed)
{
	char kept[JT_TOKEN_BYTES];
	size_t k;

	for (size_t i = t->n; i > 1; i--) {
		k = jt_random_below(&seed, i);
		memcpy(kept, t->values[k], sizeof(kept));
		memmove(t->values[k], t->values[i - 1], sizeof(kept));
		memcpy(t->values[i - 1], kept, sizeof(kept));
	}
}

void jt_tokens_free(struct jt_tokens *t)
{
	free(t->values);
	memset(t, 0, sizeof(*t));
}

int jt_tokens_render(const struct jt_tokens *t, const char *before,
		     const char *after, struct jt_requests *q)
{
	size_t b = strlen(before), a = strlen(after), bytes;
	size_t rendered = t->n + JT_LOADGEN_PIPELINE_MAX;
	uint8_t *at;

	q->n = t->n;
	q->each_bytes = b + JT_TOKEN_BYTES + a;
	bytes = (rendered * q->each_bytes + HUGE_BYTES - 1) &
		-(size_t)HUGE_BYTES;
	q->bytes = at = aligned_alloc(HUGE_BYTES, bytes);
	if (!at)
		return -ENOMEM;
	madvise(at, bytes, MADV_HUGEPAGE);
	for (size_t i = 0; i < rendered; i++, at += q->each_bytes) {
		memcpy(at, before, b);
		memcpy(at + b, t->values[i % t->n], JT_TOKEN_BYTES);
		memcpy(at + b + JT_TOKEN_BYTES, after, a);
	}
	return 0;
}

void jt_tokens_free_requests(struct jt_requests *q)
{
	free(q->bytes);
	memset(q, 0, sizeof(*q));
}
