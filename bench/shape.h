/*
 * shape: what RESP replies of one kind have in common, so that the next one is
 * recognised by comparing words instead of by being parsed.
 *
 * A shape is learned from a parsed reply: its structure and its answer must be
 * met byte by byte, of the digits of a number only that they are such, and what
 * a string contains is free. A reply that fits has the same length and the same
 * answer. (Of digits the upper half is compared, so `:` to `?` pass, too; no
 * byte that could end a line does.) Pure.
 */
#ifndef JT_BENCH_SHAPE_H
#define JT_BENCH_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define JT_SHAPE_BYTES_MAX 256u
#define JT_SHAPE_BYTES_MIN 16u
#define JT_SHAPE_WORD 16u

/* What a vector register of any of our hosts holds. */
typedef uint64_t jt_shape_word __attribute__((vector_size(JT_SHAPE_WORD)));

struct jt_shape {
	uint32_t bytes; /* 0: none */
	/* at 0, 16, 32 ...; the last one at bytes - 16 */
	uint32_t words;
	jt_shape_word form[JT_SHAPE_BYTES_MAX / JT_SHAPE_WORD];
	jt_shape_word mask[JT_SHAPE_BYTES_MAX / JT_SHAPE_WORD];
};

/*
 * From one whole, well-formed reply. ANSWER: whether its first scalar belongs
 * to the shape when that is a string. False: too short or too long for one.
 */
bool jt_shape_learn(struct jt_shape *s, const uint8_t *at, size_t bytes,
		    bool answer);

/* Is a reply of this shape at AT? */
static inline bool jt_shape_fits(const struct jt_shape *s, const uint8_t *at,
				 size_t bytes)
{
	jt_shape_word differs = {0}, word;
	uint32_t last;

	if (bytes < s->bytes || !s->bytes)
		return false;
	last = s->words - 1;
	for (uint32_t i = 0; i < last; i++) {
		memcpy(&word, at + JT_SHAPE_WORD * i, sizeof(word));
		differs |= (word ^ s->form[i]) & s->mask[i];
	}
	memcpy(&word, at + s->bytes - JT_SHAPE_WORD, sizeof(word));
	differs |= (word ^ s->form[last]) & s->mask[last];
	return (differs[0] | differs[1]) == 0;
}

#endif
