/*
 * settings_keys: the keys of a policy's and of a peer's section, each from text
 * to its field and back.
 *
 * What print() writes is what take() reads. Pure but for the look-up of
 * user and group names. Keeper, at start and at SIGHUP.
 */
#ifndef JT_SIDECAR_SETTINGS_KEYS_H
#define JT_SIDECAR_SETTINGS_KEYS_H

#include "sidecar/settings.h"

#include <stdio.h>

#define JT_POLICY_KEYS 6u
#define JT_RULE_KEYS 7u
#define JT_KEYS_MAX 7u

struct jt_key {
	const char *name;
	const char *takes; /* "NAME takes ..." */
	bool is_list;	   /* the value may go on on further lines */
	/*
	 * Put TEXT, which is written over, into the policy or rule. MORE: this
	 * continues a list. False: not understood.
	 */
	bool (*take)(void *object, char *text, bool more);
	void (*print)(const void *object, FILE *out);
};

extern const struct jt_key jt_policy_keys[JT_POLICY_KEYS];
extern const struct jt_key jt_rule_keys[JT_RULE_KEYS];

/* May a policy or a peer be called so? It stands in paths and in logs. */
bool jt_settings_name_ok(const char *name, size_t bytes, size_t max);

/* A number in decimal digits alone, from LEAST to MOST? */
bool jt_settings_number(const char *text, uint64_t least, uint64_t most,
			uint64_t *valuep);

/* What a section without keys means. */
void jt_policy_default(struct jt_policy *policy);
void jt_rule_default(struct jt_rule *rule);

#endif
