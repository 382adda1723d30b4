/*
 * settings: see settings.h.
 *
 * In shared memory: one word, the generation, then two copies. Generation g
 * stands in copy g % 2, so while the next one is written the present one stays
 * as it is. A reader who was away for two of them finds that the generation
 * has moved on by more than one and reads again.
 */
#include "sidecar/settings.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define WORDS (sizeof(struct jt_settings) / sizeof(uint64_t))

static_assert(sizeof(struct jt_settings) % sizeof(uint64_t) == 0, "words");
static_assert(sizeof(struct jt_policy) ==
		      JT_POLICY_NAME + 8 + 4 + 2 + 3 + 7 +
			      JT_POLICY_SCOPES_MAX * JT_POLICY_SCOPE,
	      "no padding that is not named");
static_assert(sizeof(struct jt_rule) ==
		      JT_RULE_NAME + 4 * 4 + 8 * JT_RULE_ENVS_MAX + 2 * 4,
	      "no padding that is not named");
static_assert((1 + 2 * WORDS) * sizeof(uint64_t) <= JT_SETTINGS_BYTES,
	      "both copies fit");

void jt_settings_default(struct jt_settings *s)
{
	memset(s, 0, sizeof(*s));
	s->n_policies = 1;
	strcpy(s->policies[0].name, "default");
	s->policies[0].cost = 1;
	s->policies[0].credentials = JT_CREDENTIAL_BEARER;
}

const struct jt_policy *jt_settings_policy(const struct jt_settings *s,
					   const char *name, size_t bytes)
{
	for (uint32_t i = 0; i < s->n_policies && bytes; i++)
		if (bytes < JT_POLICY_NAME &&
		    strnlen(s->policies[i].name, JT_POLICY_NAME) == bytes &&
		    memcmp(s->policies[i].name, name, bytes) == 0)
			return &s->policies[i];
	return NULL;
}

static bool has(uint32_t id, uint32_t gid, const uint32_t *groups, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (groups[i] == id)
			return true;
	return gid == id;
}

const struct jt_rule *jt_settings_rule(const struct jt_settings *s,
				       uint32_t uid, uint32_t gid,
				       const uint32_t *groups, size_t n_groups)
{
	static const struct jt_rule nobody = {.name = "nobody"};
	static const struct jt_rule all = {
		.name = "all",
		.verify = 1,
		.see_owner = 1,
		.see_scopes = 1,
	};
	static const struct jt_rule ours = {
		.name = "ours",
		.verify = 1,
		.see_owner = 1,
		.see_scopes = 1,
		.attach = JT_ATTACH_SPEND,
	};

	for (uint32_t i = 0; i < s->n_rules; i++) {
		const struct jt_rule *r = &s->rules[i];

		if (r->match == JT_RULE_ANYBODY ||
		    (r->match == JT_RULE_UID && r->id == uid) ||
		    (r->match == JT_RULE_GID &&
		     has(r->id, gid, groups, n_groups)))
			return r;
	}
	if (s->n_rules)
		return &nobody;
	return uid == 0 || uid == geteuid() ? &ours : &all;
}

/* ---- in shared memory ---- */

static size_t copy_at(uint64_t generation)
{
	return 1 + (generation & 1) * WORDS;
}

static void publish(struct jt_maps *maps, const struct jt_settings *s)
{
	_Atomic uint64_t *area = (void *)((char *)maps->identity_rw +
					  maps->identity_rw->settings_off);
	/* relaxed: the keeper's own word */
	uint64_t next = jt_load_relaxed(&area[0]) + 1, word;

	for (size_t i = 0; i < WORDS; i++) {
		memcpy(&word, (const char *)s + 8 * i, 8);
		/* release: a reader who meets this word in an older copy also
		 * finds that the generation was one less than NEXT before;
		 * pairs with the loads in jt_settings_follow() */
		jt_store_release(&area[copy_at(next) + i], word);
	}
	/* pairs with the load in jt_settings_follow() */
	jt_store_release(&area[0], next);
	jt_count(&maps->identity_rw->news.settings, 1);
}

void jt_settings_publish(struct jt_maps *maps, const struct jt_settings *s)
{
	for (struct jt_maps *m = maps; m; m = m->twin)
		publish(m, s);
}

bool jt_settings_follow(const struct jt_maps *maps, uint64_t *generationp,
			struct jt_settings *mine)
{
	const _Atomic uint64_t *area = maps->settings;
	/* pairs with the last store in jt_settings_publish() */
	uint64_t is = jt_load_acquire(&area[0]), was;

	if (is == *generationp)
		return false;
	do {
		was = is;
		for (size_t i = 0; i < WORDS; i++) {
			/* acquire: the generation is loaded after this; pairs
			 * with the stores in jt_settings_publish() */
			uint64_t word =
				jt_load_acquire(&area[copy_at(was) + i]);

			memcpy((char *)mine + 8 * i, &word, 8);
		}
		is = jt_load_acquire(&area[0]);
	} while (is != was);
	*generationp = is;
	return true;
}
