/*
 * help_table: segments with tokens in them, in a few words.
 *
 * Everything here asserts that what is not the test's subject succeeds. The
 * segments live as long as the test's process.
 */
#ifndef JT_TESTS_HELP_TABLE_H
#define JT_TESTS_HELP_TABLE_H

#include "shm/table.h"
#include "shm/verify.h"
#include "tests/help_journal.h"

#define HELP_NOW_S 1800000000ull
#define HELP_BOOT_NS 1000000000000ull
#define HELP_LATER_S (HELP_NOW_S + 30u * 86400u)

struct help_table {
	struct jt_segment_fds fds;
	struct jt_maps maps;   /* the keeper's, writable */
	struct jt_maps reader; /* a worker's */
	uint32_t meters;       /* lines given out */
};

struct help_token {
	char text[JT_TOKEN_BYTES + 1];
	uint32_t slot, meter;
};

/* Serving, empty, for so many tokens. */
void help_table_new(struct help_table *t, uint64_t capacity);

/* A random value "jt_ENV_..." that no table knows. */
void help_token_make(struct help_token *token, const char *env);

/* An entry for TOKEN: active, no limit, expires at HELP_LATER_S. */
struct jt_entry help_entry(struct help_table *t, struct help_token *token);

/* Put such an entry; the one with a plan, an owner and so on is changed so. */
void help_put(struct help_table *t, struct help_token *token,
	      const struct jt_entry *entry);

/* Make and put in one. */
void help_issue(struct help_table *t, struct help_token *token);

/* Another state; flags and expiry stay. */
void help_state(struct help_table *t, const struct help_token *token,
		uint8_t state);

/* Let a plan's number mean limits of its own, in the block of that number. */
void help_limits(struct help_table *t, uint16_t plan,
		 const struct jt_bounds *bounds);
void help_rate(struct help_table *t, uint16_t plan, uint64_t interval_ns,
	       uint64_t burst);

/* The slot, writable: for hostile contents. */
struct jt_slot *help_slot(struct help_table *t, uint64_t slot);
struct jt_meter *help_meter(struct help_table *t,
			    const struct help_token *token);

/* Find TOKEN's very value; false: not there. */
bool help_find(const struct jt_maps *maps, const struct help_token *token,
	       struct jt_view *viewp);

struct jt_now help_now(void);
struct jt_ask help_ask(const struct help_token *token);

/* One request alone, without a memo. */
struct jt_verdict help_verify(const struct help_table *t,
			      const struct jt_ask *ask, struct jt_now now);

/* Its word for a plain VERIFY of TOKEN. */
enum jt_word help_word(const struct help_table *t,
		       const struct help_token *token);

/* Expected lines of log go nowhere. */
void help_quiet(void);

/* A fresh directory, gone when the test ends. */
void help_dir(char path[64]);

#endif
