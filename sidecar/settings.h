/*
 * settings: what may change while the daemon serves: policies of the HTTP door
 * and rights of the callers on this host.
 *
 * The keeper reads them from the configuration file (settings_file.h) at start
 * and at SIGHUP, and publishes them in the identity segment, which workers map
 * read-only. A worker keeps a copy of its own and asks once a round, by one
 * load, whether there is a newer one; so a request is decided under one set of
 * settings from beginning to end.
 *
 * Plain old data: no pointers, every byte set, names zero-padded.
 */
#ifndef JT_SIDECAR_SETTINGS_H
#define JT_SIDECAR_SETTINGS_H

#include "shm/attach.h"

#define JT_POLICIES_MAX 64u
#define JT_POLICY_NAME 32u
#define JT_POLICY_SCOPES_MAX 16u
#define JT_POLICY_SCOPE 48u
#define JT_RULES_MAX 64u
#define JT_RULE_NAME 32u
#define JT_RULE_ENVS_MAX 8u

/* Where a policy lets a token stand in a request. */
#define JT_CREDENTIAL_BEARER 0x01u
#define JT_CREDENTIAL_API_KEY 0x02u /* X-API-Key */
#define JT_CREDENTIAL_BASIC 0x04u   /* the password */

/* X-RateLimit-* beside the standard fields. */
enum jt_legacy_headers {
	JT_LEGACY_OFF = 0,
	JT_LEGACY_DELTA, /* Reset: seconds from now */
	JT_LEGACY_EPOCH, /* Reset: seconds since 1970 */
};

/* What `/auth/NAME` asks of a token. */
struct jt_policy {
	char name[JT_POLICY_NAME];
	uint64_t env; /* jt_env_word(); 0: any */
	uint32_t cost;
	uint16_t n_scopes;
	uint8_t credentials; /* JT_CREDENTIAL_* */
	uint8_t legacy;	     /* enum jt_legacy_headers */
	uint8_t hide_verdict;
	uint8_t zeros[7];
	char scopes[JT_POLICY_SCOPES_MAX][JT_POLICY_SCOPE];
};

enum jt_rule_match {
	JT_RULE_ANYBODY = 0,
	JT_RULE_UID,
	JT_RULE_GID, /* first or supplementary group */
};

/* What a caller may do. The first rule that matches it holds. */
struct jt_rule {
	char name[JT_RULE_NAME];
	uint32_t match; /* enum jt_rule_match */
	uint32_t id;	/* the uid or gid */
	uint8_t verify; /* 0: -NOPERM */
	uint8_t see_owner, see_scopes;
	uint8_t attach; /* enum jt_attach_right */
	uint32_t n_envs;
	uint64_t envs[JT_RULE_ENVS_MAX]; /* it may verify these; none: all */
	uint32_t connections_max;	 /* over all workers; 0: no limit */
	uint32_t refusals_per_s;	 /* likewise */
};

struct jt_settings {
	uint32_t n_policies, n_rules;
	struct jt_policy policies[JT_POLICIES_MAX];
	struct jt_rule rules[JT_RULES_MAX];
};

/*
 * Without a file: the policy `default` (any environment, no scope, cost 1,
 * Bearer), and whoever may connect may verify and see; only root and the
 * daemon's own user may attach.
 */
void jt_settings_default(struct jt_settings *settings);

/* NULL: there is no policy of that name. */
const struct jt_policy *jt_settings_policy(const struct jt_settings *settings,
					   const char *name, size_t bytes);

/*
 * The rule for a caller of these ids; GROUPS: its supplementary ones. Never
 * NULL: behind the last rule stands one for whoever none matched, which is what
 * holds without a file if there are no rules, and else refuses everything.
 */
const struct jt_rule *jt_settings_rule(const struct jt_settings *settings,
				       uint32_t uid, uint32_t gid,
				       const uint32_t *groups, size_t n_groups);

/* Keeper: let all workers have these from their next round on. */
void jt_settings_publish(struct jt_maps *maps,
			 const struct jt_settings *settings);

/*
 * Worker: *GENERATIONP is that of its copy, 0 at first. True: there was a newer
 * one, and MINE is that now.
 */
bool jt_settings_follow(const struct jt_maps *maps, uint64_t *generationp,
			struct jt_settings *mine);

#endif
