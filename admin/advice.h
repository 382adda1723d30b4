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

#endif
