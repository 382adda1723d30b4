/*
 * settings_keys: see settings_keys.h.
 *
 * Lists are words with blanks between. A list that would be longer than a line
 * is continued on lines that begin with a tab (settings_file.c), so printing
 * begins a new one before each word that does not fit.
 */
#include "sidecar/settings_keys.h"

#include "shm/scope.h"
#include "shm/token.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t"
#define LINE_BYTES 72 /* of a printed list */

static bool is_one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

bool jt_settings_name_ok(const char *name, size_t bytes, size_t max)
{
	static const char all[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789_-.";

	/* `.` and `..` would be taken out of a path on its way */
	if (!bytes || bytes >= max || name[0] == '.')
		return false;
	for (size_t i = 0; i < bytes; i++)
		if (!is_one_of(name[i], all))
			return false;
	return true;
}

bool jt_settings_number(const char *text, uint64_t least, uint64_t most,
			uint64_t *valuep)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || value < least ||
	    value > most)
		return false;
	*valuep = value;
	return true;
}

/* TEXT's place in WORDS, which end with NULL; -1. */
static int place(const char *const words[], const char *text)
{
	for (int i = 0; words[i]; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	return -1;
}

static bool take_number(char *text, uint32_t *fieldp)
{
	uint64_t value;

	if (!jt_settings_number(text, 0, UINT32_MAX, &value))
		return false;
	*fieldp = (uint32_t)value;
	return true;
}

/* Words of a list, wrapped. */
struct printer {
	FILE *out;
	size_t column;
	bool begun;
};

static void print_word(struct printer *p, const char *word)
{
	size_t n = strlen(word);

	if (p->begun && p->column + 1 + n > LINE_BYTES) {
		fputs("\n\t", p->out);
		p->column = 8;
	} else if (p->begun) {
		fputc(' ', p->out);
		p->column++;
	}
	fputs(word, p->out);
	p->column += n;
	p->begun = true;
}

/* ---- a policy ---- */

static bool take_env(void *object, char *text, bool more)
{
	struct jt_policy *p = object;

	p->env = jt_env_word(text, strlen(text));
	return !*text || p->env;
}

static void print_env(const void *object, FILE *out)
{
	const struct jt_policy *p = object;
	char name[9] = "";

	memcpy(name, &p->env, sizeof(p->env));
	fputs(name, out);
}

static bool take_scope(void *object, char *text, bool more)
{
	struct jt_policy *p = object;
	char *rest;

	if (!more) {
		p->n_scopes = 0;
		memset(p->scopes, 0, sizeof(p->scopes));
	}
	for (char *s = strtok_r(text, BLANKS, &rest); s;
	     s = strtok_r(NULL, BLANKS, &rest)) {
		size_t n = strlen(s);

		if (n >= JT_POLICY_SCOPE || !jt_scope_ok(s, n) ||
		    p->n_scopes == JT_POLICY_SCOPES_MAX)
			return false;
		memcpy(p->scopes[p->n_scopes++], s, n);
	}
	return true;
}

static void print_scope(const void *object, FILE *out)
{
	const struct jt_policy *p = object;
	struct printer to = {.out = out, .column = 16};

	for (unsigned i = 0; i < p->n_scopes; i++)
		print_word(&to, p->scopes[i]);
}

static bool take_cost(void *object, char *text, bool more)
{
	struct jt_policy *p = object;

	return take_number(text, &p->cost);
}

static void print_cost(const void *object, FILE *out)
{
	const struct jt_policy *p = object;

	fprintf(out, "%u", p->cost);
}

static const char *const credentials[] = {"bearer", "api-key", "basic", NULL};

static_assert(JT_CREDENTIAL_BEARER == 1 << 0 &&
		      JT_CREDENTIAL_API_KEY == 1 << 1 &&
		      JT_CREDENTIAL_BASIC == 1 << 2,
	      "bits in the words' order");

static bool take_credentials(void *object, char *text, bool more)
{
	struct jt_policy *p = object;
	char *rest;

	if (!more)
		p->credentials = 0;
	for (char *s = strtok_r(text, BLANKS, &rest); s;
	     s = strtok_r(NULL, BLANKS, &rest)) {
		int at = place(credentials, s);

		if (at < 0)
			return false;
		p->credentials |= (uint8_t)(1u << at);
	}
	return p->credentials != 0;
}

static void print_credentials(const void *object, FILE *out)
{
	const struct jt_policy *p = object;
	struct printer to = {.out = out};

	for (unsigned i = 0; credentials[i]; i++)
		if (p->credentials & 1u << i)
			print_word(&to, credentials[i]);
}

static const char *const legacies[] = {
	[JT_LEGACY_OFF] = "off",
	[JT_LEGACY_DELTA] = "delta",
	[JT_LEGACY_EPOCH] = "epoch",
	NULL,
};

static bool take_legacy(void *object, char *text, bool more)
{
	struct jt_policy *p = object;
	int at = place(legacies, text);

	p->legacy = (uint8_t)at;
	return at >= 0;
}

static void print_legacy(const void *object, FILE *out)
{
	const struct jt_policy *p = object;

	fputs(legacies[p->legacy], out);
}

static const char *const yes_or_no[] = {"no", "yes", NULL};

static bool take_hide(void *object, char *text, bool more)
{
	struct jt_policy *p = object;
	int at = place(yes_or_no, text);

	p->hide_verdict = at == 1;
	return at >= 0;
}

static void print_hide(const void *object, FILE *out)
{
	const struct jt_policy *p = object;

	fputs(yes_or_no[p->hide_verdict], out);
}

const struct jt_key jt_policy_keys[JT_POLICY_KEYS] = {
	{"env", "an environment (1 to 6 of a-z and 0-9), or nothing for any",
	 false, take_env, print_env},
	{"scope",
	 "up to 16 scope names of at most 47 characters, blanks between", true,
	 take_scope, print_scope},
	{"cost", "a number from 0 to 4294967295", false, take_cost, print_cost},
	{"credentials", "one or more of bearer, api-key, basic", true,
	 take_credentials, print_credentials},
	{"legacy-headers", "off, delta or epoch", false, take_legacy,
	 print_legacy},
	{"hide-verdict", "yes or no", false, take_hide, print_hide},
};

void jt_policy_default(struct jt_policy *policy)
{
	memset(policy, 0, sizeof(*policy));
	policy->cost = 1;
	policy->credentials = JT_CREDENTIAL_BEARER;
}

/* ---- a peer ---- */

static bool take_uid(void *object, char *text, bool more)
{
	struct jt_rule *r = object;
	const struct passwd *pw;

	if (r->match != JT_RULE_ANYBODY)
		return false;
	r->match = JT_RULE_UID;
	/* UINT32_MAX is no user: chown(2) takes it for "as it is" */
	if (take_number(text, &r->id))
		return r->id != UINT32_MAX;
	pw = *text ? getpwnam(text) : NULL;
	r->id = pw ? pw->pw_uid : 0;
	return pw != NULL;
}

static bool take_gid(void *object, char *text, bool more)
{
	struct jt_rule *r = object;
	const struct group *gr;

	if (r->match != JT_RULE_ANYBODY)
		return false;
	r->match = JT_RULE_GID;
	if (take_number(text, &r->id))
		return r->id != UINT32_MAX;
	gr = *text ? getgrnam(text) : NULL;
	r->id = gr ? gr->gr_gid : 0;
	return gr != NULL;
}

static void print_uid(const void *object, FILE *out)
{
	const struct jt_rule *r = object;

	if (r->match == JT_RULE_UID)
		fprintf(out, "%u", r->id);
}

static void print_gid(const void *object, FILE *out)
{
	const struct jt_rule *r = object;

	if (r->match == JT_RULE_GID)
		fprintf(out, "%u", r->id);
}

static bool take_verify_word(struct jt_rule *r, const char *word)
{
	uint64_t env = jt_env_word(word, strlen(word));

	for (uint32_t i = 0; i < r->n_envs; i++)
		if (r->envs[i] == env)
			return true;
	if (!env || r->n_envs == JT_RULE_ENVS_MAX)
		return false;
	r->envs[r->n_envs++] = env;
	r->verify = 1;
	return true;
}

/* `yes` and `no` alone are not environments; among others they are. */
static bool take_verify(void *object, char *text, bool more)
{
	struct jt_rule *r = object;
	int at = place(yes_or_no, text);
	char *rest;

	if (!more) {
		r->verify = at == 1;
		r->n_envs = 0;
		memset(r->envs, 0, sizeof(r->envs));
		if (at >= 0)
			return true;
	} else if (!r->n_envs) {
		return false; /* after yes or no */
	}
	for (char *s = strtok_r(text, BLANKS, &rest); s;
	     s = strtok_r(NULL, BLANKS, &rest))
		if (!take_verify_word(r, s))
			return false;
	return r->n_envs > 0;
}

static void print_verify(const void *object, FILE *out)
{
	const struct jt_rule *r = object;
	struct printer to = {.out = out};
	char name[9] = "";

	if (!r->n_envs)
		print_word(&to, yes_or_no[r->verify]);
	for (unsigned i = 0; i < r->n_envs; i++) {
		memcpy(name, &r->envs[i], sizeof(r->envs[i]));
		print_word(&to, name);
	}
	/* one alone that is called like an answer: twice is the same */
	if (r->n_envs == 1 && place(yes_or_no, name) >= 0)
		print_word(&to, name);
}

static bool take_see(void *object, char *text, bool more)
{
	struct jt_rule *r = object;
	char *rest;

	if (!more) {
		r->see_owner = r->see_scopes = 0;
		if (strcmp(text, "none") == 0)
			return true;
	} else if (!r->see_owner && !r->see_scopes) {
		return false; /* after none */
	}
	for (char *s = strtok_r(text, BLANKS, &rest); s;
	     s = strtok_r(NULL, BLANKS, &rest)) {
		if (strcmp(s, "owner") == 0)
			r->see_owner = 1;
		else if (strcmp(s, "scopes") == 0)
			r->see_scopes = 1;
		else
			return false;
	}
	return r->see_owner || r->see_scopes;
}

static void print_see(const void *object, FILE *out)
{
	const struct jt_rule *r = object;
	struct printer to = {.out = out};

	if (r->see_owner)
		print_word(&to, "owner");
	if (r->see_scopes)
		print_word(&to, "scopes");
	if (!to.begun)
		print_word(&to, "none");
}

static const char *const rights[] = {
	[JT_ATTACH_NO] = "no",
	[JT_ATTACH_LOOK] = "look",
	[JT_ATTACH_SPEND] = "spend",
	NULL,
};

static bool take_attach(void *object, char *text, bool more)
{
	struct jt_rule *r = object;
	int at = place(rights, text);

	r->attach = (uint8_t)at;
	return at >= 0;
}

static void print_attach(const void *object, FILE *out)
{
	const struct jt_rule *r = object;

	fputs(rights[r->attach], out);
}

static bool take_connections(void *object, char *text, bool more)
{
	struct jt_rule *r = object;

	return take_number(text, &r->connections_max);
}

static void print_connections(const void *object, FILE *out)
{
	const struct jt_rule *r = object;

	fprintf(out, "%u", r->connections_max);
}

static bool take_refusals(void *object, char *text, bool more)
{
	struct jt_rule *r = object;
	size_t n = strlen(text);

	if (n < 3 || strcmp(text + n - 2, "/s") != 0)
		return false;
	text[n - 2] = '\0';
	return take_number(text, &r->refusals_per_s);
}

static void print_refusals(const void *object, FILE *out)
{
	const struct jt_rule *r = object;

	fprintf(out, "%u/s", r->refusals_per_s);
}

const struct jt_key jt_rule_keys[JT_RULE_KEYS] = {
	{"uid", "a number or a user's name, and no gid beside it", false,
	 take_uid, print_uid},
	{"gid", "a number or a group's name, and no uid beside it", false,
	 take_gid, print_gid},
	{"verify",
	 "yes, no, or up to 8 environments (1 to 6 of a-z and 0-9), blanks "
	 "between",
	 true, take_verify, print_verify},
	{"see", "none, or one or more of owner, scopes", true, take_see,
	 print_see},
	{"attach", "no, look or spend", false, take_attach, print_attach},
	{"connections", "a number from 0 (no limit) to 4294967295", false,
	 take_connections, print_connections},
	{"refusals", "a number from 0 (no limit) to 4294967295, then /s", false,
	 take_refusals, print_refusals},
};

void jt_rule_default(struct jt_rule *rule)
{
	memset(rule, 0, sizeof(*rule));
	rule->verify = 1;
	rule->see_owner = rule->see_scopes = 1;
}
