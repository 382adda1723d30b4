/*
 * help_table: see the header.
 */
#include "tests/help_table.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void help_table_new(struct help_table *t, uint64_t capacity)
{
	const struct jt_segment_size size = {
		.capacity = capacity, .pool_bytes = 65536, .prefix = "jt"};
	const uint8_t id[16] = "a journal's id.";

	memset(t, 0, sizeof(*t));
	cr_assert(sodium_init() >= 0);
	cr_assert_eq(jt_segment_create(&size, id, &t->fds, &t->maps), 0);
	cr_assert_eq(jt_segment_map(&t->fds, &t->reader), 0);
	jt_store_seq(&t->maps.identity_rw->state, JT_IDENTITY_SERVING);
}

void help_token_make(struct help_token *token, const char *env)
{
	memset(token, 0, sizeof(*token));
	cr_assert(sodium_init() >= 0);
	jt_token_make("jt", env, token->text);
}

static uint8_t env_of(struct help_table *t, const char *id)
{
	const char *env;
	size_t bytes;

	cr_assert(jt_public_ok(id, &env, &bytes));
	return jt_table_env(&t->maps, jt_env_word(env, bytes));
}

struct jt_entry help_entry(struct help_table *t, struct help_token *token)
{
	struct jt_entry e = {
		.state = JT_SLOT_ACTIVE,
		.env = env_of(t, token->text),
		.expires_s = (uint32_t)HELP_LATER_S,
		.meter = t->meters,
	};

	memcpy(e.id, token->text, sizeof(e.id));
	jt_token_digest((const uint8_t *)token->text, e.digest);
	return e;
}

void help_put(struct help_table *t, struct help_token *token,
	      const struct jt_entry *entry)
{
	cr_assert_eq(jt_table_put(&t->maps, entry, &token->slot), 0);
	token->meter = entry->meter;
	t->meters++;
	jt_count(&t->maps.identity_rw->tokens, 1);
}

void help_issue(struct help_table *t, struct help_token *token)
{
	struct jt_entry e;

	help_token_make(token, "live");
	e = help_entry(t, token);
	help_put(t, token, &e);
}

void help_state(struct help_table *t, const struct help_token *token,
		uint8_t state)
{
	uint64_t a = jt_load_seq(&help_slot(t, token->slot)->a);

	jt_table_set_a(&t->maps, token->slot, state, jt_a_flags(a),
		       jt_a_expires_s(a));
}

void help_limits(struct help_table *t, uint16_t plan,
		 const struct jt_bounds *bounds)
{
	jt_table_put_limits(&t->maps, plan, bounds);
	jt_table_set_plan(&t->maps, plan, plan);
}

void help_rate(struct help_table *t, uint16_t plan, uint64_t interval_ns,
	       uint64_t burst)
{
	help_limits(t, plan,
		    &(struct jt_bounds){.interval_ns = interval_ns,
					.burst = burst});
}

struct jt_slot *help_slot(struct help_table *t, uint64_t slot)
{
	char *base = (char *)t->maps.identity_rw;

	return (struct jt_slot *)(void *)(base + t->maps.identity->slots_off) +
	       slot;
}

struct jt_meter *help_meter(struct help_table *t,
			    const struct help_token *token)
{
	return &t->maps.lines[token->meter];
}

bool help_find(const struct jt_maps *maps, const struct help_token *token,
	       struct jt_view *viewp)
{
	uint64_t key = jt_token_key((const uint8_t *)token->text,
				    maps->identity->seed);
	uint8_t digest[JT_VALUE_DIGEST];
	uint32_t cursor = 0;

	jt_token_digest((const uint8_t *)token->text, digest);
	while (jt_table_next(maps, key, &cursor, viewp))
		if (viewp->a && !memcmp(viewp->digest, digest, sizeof(digest)))
			return true;
	return false;
}

struct jt_now help_now(void)
{
	return (struct jt_now){HELP_NOW_S, HELP_BOOT_NS};
}

struct jt_ask help_ask(const struct help_token *token)
{
	return (struct jt_ask){
		.token = {(const uint8_t *)token->text, JT_TOKEN_BYTES},
		.cost = 1,
	};
}

struct jt_verdict help_verify(const struct help_table *t,
			      const struct jt_ask *ask, struct jt_now now)
{
	struct jt_tally tally = {0};
	struct jt_verdict v;

	memset(&v, 0xee, sizeof(v));
	jt_verify(&t->reader, NULL, ask, &v, 1, now, &tally);
	cr_assert_eq(tally.words[v.word], 1);
	return v;
}

enum jt_word help_word(const struct help_table *t,
		       const struct help_token *token)
{
	struct jt_ask ask = help_ask(token);

	return help_verify(t, &ask, help_now()).word;
}

void help_quiet(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	cr_assert(fd >= 0);
	cr_assert(dup2(fd, STDOUT_FILENO) >= 0);
	cr_assert(dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
}

static char dir[64];
static pid_t dir_owner;

static int drop(const char *path, const struct stat *st, int type,
		struct FTW *ftw)
{
	return remove(path);
}

static void drop_dir(void)
{
	if (getpid() == dir_owner)
		nftw(dir, drop, 8, FTW_DEPTH | FTW_PHYS);
}

void help_dir(char path[64])
{
	strcpy(dir, "/tmp/jeton-test-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	dir_owner = getpid();
	atexit(drop_dir);
	strcpy(path, dir);
}
