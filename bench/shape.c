/* shape: see shape.h. */
#include "bench/shape.h"

#include <stdlib.h>

#define ALL 0xff
#define DIGIT 0xf0

/* Mark one element of REPLY at *ATP, and where the next one begins. */
static void mark(const uint8_t *reply, size_t *atp, uint8_t *mask,
		 bool *answer_due, bool answer)
{
	size_t at = *atp, line = at;
	bool number = reply[at] == ':';
	long n;

	for (mask[line++] = ALL; reply[line] != '\r'; line++)
		mask[line] = number && reply[line] != '-' ? DIGIT : ALL;
	mask[line] = mask[line + 1] = ALL;
	*atp = line + 2;
	if (reply[at] != '$') {
		*answer_due &= reply[at] == '*';
		return;
	}
	n = strtol((const char *)reply + at + 1, NULL, 10);
	if (n >= 0) {
		memset(mask + *atp, *answer_due && answer ? ALL : 0, (size_t)n);
		memset(mask + *atp + n, ALL, 2);
		*atp += (size_t)n + 2;
	}
	*answer_due = false;
}

bool jt_shape_learn(struct jt_shape *s, const uint8_t *at, size_t bytes,
		    bool answer)
{
	uint8_t mask[JT_SHAPE_BYTES_MAX];
	bool answer_due = true;
	size_t from;

	if (bytes < JT_SHAPE_BYTES_MIN || bytes > JT_SHAPE_BYTES_MAX)
		return false;
	for (size_t next = 0; next < bytes;)
		mark(at, &next, mask, &answer_due, answer);
	s->bytes = (uint32_t)bytes;
	s->words = (s->bytes + JT_SHAPE_WORD - 1) / JT_SHAPE_WORD;
	for (uint32_t i = 0; i < s->words; i++) {
		from = i + 1 < s->words ? JT_SHAPE_WORD * i
					: bytes - JT_SHAPE_WORD;
		memcpy(&s->form[i], at + from, JT_SHAPE_WORD);
		memcpy(&s->mask[i], mask + from, JT_SHAPE_WORD);
	}
	return true;
}
