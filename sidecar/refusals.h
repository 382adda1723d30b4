/*
 * refusals: lines of log about refused tokens, sampled.
 *
 * At most one line a second for each verdict word and process: it names one
 * value that was refused so, and says how many more there were since the line
 * before; those behind the last one are told by a line without a name. What
 * is named is the public id, and only of a value that was found or
 * whose checksum is right: of any other nobody knows which part is a secret, so
 * nothing of it is shown. LOADING is no refusal.
 *
 * In two steps, because ids stand in input buffers that are gone once replies
 * are written: note() copies at most one id a word, tell() writes what is due.
 * Neither is called when nothing was refused. Fixed memory, one process.
 */
#ifndef JT_SIDECAR_REFUSALS_H
#define JT_SIDECAR_REFUSALS_H

#include "shm/verify.h"

#define JT_REFUSALS_NS 1000000000ull /* between two lines of one word */

struct jt_refusal {
	uint64_t due_ns; /* the next line not before */
	uint64_t n;	 /* refused since the last line */
	uint64_t by;	 /* uid + 1 of who asked; 0: unknown */
	bool named;
	char id[JT_PUBLIC_BYTES + 1]; /* "": it has none */
};

struct jt_refusals {
	uint64_t n; /* not told, of all words */
	struct jt_refusal words[JT_WORDS_N];
};

/* N more were refused with WORD. True: a line is due, so name() one of them. */
bool jt_refusals_note(struct jt_refusals *r, enum jt_word word, uint64_t n,
		      uint64_t now_ns);

/* Before the bytes of the request are gone. BY: uid + 1, 0: unknown. */
void jt_refusals_name(struct jt_refusals *r, const struct jt_ask *ask,
		      const struct jt_verdict *verdict, uint64_t by);

/*
 * Both for what one jt_verify() came to, if not all was VALID. Apart: it is not
 * for the round in which all is well.
 */
__attribute__((noinline, cold)) void
jt_refusals_take(struct jt_refusals *r, const struct jt_tally *tally,
		 const struct jt_ask *asks, const struct jt_verdict *verdicts,
		 uint64_t now_ns);

/* Write the lines that are due; at the end of each round. */
void jt_refusals_tell(struct jt_refusals *r, uint64_t now_ns);

#endif
