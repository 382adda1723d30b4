/*
 * advice: what a person should do about each verdict.
 *
 * One sentence for each word that a sidecar can say; an unknown word (from a
 * newer sidecar) has one too. Pure.
 */
#ifndef JT_ADMIN_ADVICE_H
#define JT_ADMIN_ADVICE_H

/* NOTES as in the reply: words with commas between. */
const char *jt_advice(const char *word, const char *notes);

/* What who administers the token ID can do; empty: nothing is to be done. */
#define JT_ADVICE_TEXT 256
void jt_advice_admin(const char *word, const char *notes, const char *id,
		     char out[JT_ADVICE_TEXT]);

#endif
