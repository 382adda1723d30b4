/*
 * fuzz_config: any bytes as a configuration file.
 *
 * Either they are refused, in one line that tells what to do and repeats
 * nothing, or what they mean is printed and read back the same, and every field
 * is one that the doors can rely on.
 */
#include "sidecar/settings_file.h"

#include "admin/label.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As config.c does: known keys are taken, whatever their values. */
static int take(void *ctx, const char *key, const char *value, unsigned line,
		struct jt_fault *faultp)
{
	assert(line > 0 && strlen(value) <= JT_SETTINGS_LINE_MAX);
	if (strcmp(key, "data") == 0 || strcmp(key, "workers") == 0)
		return 0;
	return jt_fault_set(faultp, 1, 0, 0, "no such key; there are others");
}

static void check(const struct jt_settings *s)
{
	assert(s->n_policies >= 1 && s->n_policies <= JT_POLICIES_MAX);
	assert(s->n_rules <= JT_RULES_MAX);
	assert(jt_settings_policy(s, "default", 7));
	for (uint32_t i = 0; i < s->n_policies; i++) {
		const struct jt_policy *p = &s->policies[i];

		assert(jt_settings_policy(s, p->name, strlen(p->name)) == p);
		assert(p->n_scopes <= JT_POLICY_SCOPES_MAX);
		assert(p->credentials && p->credentials < 8);
		assert(p->legacy <= JT_LEGACY_EPOCH && p->hide_verdict <= 1);
	}
	for (uint32_t i = 0; i < s->n_rules; i++) {
		const struct jt_rule *r = &s->rules[i];

		assert(r->match <= JT_RULE_GID && r->attach <= JT_ATTACH_SPEND);
		assert(r->n_envs <= JT_RULE_ENVS_MAX && r->verify <= 1);
		assert(!r->n_envs || r->verify);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct jt_settings_file file, again;
	struct jt_fault fault = {0};
	char *text = NULL;
	size_t bytes;
	FILE *out;

	if (jt_settings_file_parse(&file, (const char *)data, size, take, NULL,
				   &fault)) {
		assert(strchr(fault.line, ';'));
		assert(!jt_label_check(fault.line, strlen(fault.line),
				       sizeof(fault.line)));
		assert(fault.number || size > JT_SETTINGS_FILE_MAX);
		return 0;
	}
	check(&file.settings);
	out = open_memstream(&text, &bytes);
	assert(out);
	jt_settings_file_print(&file, "/a", out);
	fclose(out);
	/* what 64 policies take in long lines may not fit when printed */
	if (bytes <= JT_SETTINGS_FILE_MAX) {
		assert(!jt_settings_file_parse(&again, text, bytes, take, NULL,
					       &fault));
		assert(!memcmp(&file.settings, &again.settings,
			       sizeof(file.settings)));
	}
	free(text);
	return 0;
}
