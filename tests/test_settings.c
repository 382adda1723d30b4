/* settings: which policy, which rule, and the way to the workers. */
#include "sidecar/settings.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static struct jt_settings s;

static void start(void)
{
	jt_settings_default(&s);
}

TestSuite(settings, .init = start);

static struct jt_rule *add_rule(const char *name, uint32_t match, uint32_t id)
{
	struct jt_rule *r = &s.rules[s.n_rules++];

	strcpy(r->name, name);
	r->match = match;
	r->id = id;
	return r;
}

static const char *who(uint32_t uid, uint32_t gid, const uint32_t *groups,
		       size_t n)
{
	return jt_settings_rule(&s, uid, gid, groups, n)->name;
}

Test(settings, policy_is_found_by_its_whole_name_only)
{
	strcpy(s.policies[s.n_policies++].name, "web");
	cr_expect_eq(jt_settings_policy(&s, "web", 3), &s.policies[1]);
	cr_expect_eq(jt_settings_policy(&s, "default", 7), &s.policies[0]);
	cr_expect_eq(jt_settings_policy(&s, "defaultx", 7), &s.policies[0]);
	cr_expect_null(jt_settings_policy(&s, "we", 2));
	cr_expect_null(jt_settings_policy(&s, "webb", 4));
	cr_expect_null(jt_settings_policy(&s, "web\0", 4));
	cr_expect_null(jt_settings_policy(&s, "Web", 3));
	cr_expect_null(jt_settings_policy(&s, "", 0));
}

Test(settings, name_as_long_as_its_field_is_no_policy)
{
	char name[JT_POLICY_NAME];

	memset(name, 'x', sizeof(name));
	memcpy(s.policies[0].name, name, sizeof(name) - 1);
	cr_expect_not_null(jt_settings_policy(&s, name, sizeof(name) - 1));
	cr_expect_null(jt_settings_policy(&s, name, sizeof(name)));
}

Test(settings, policies_behind_the_last_are_not_looked_at)
{
	strcpy(s.policies[1].name, "stale");
	cr_expect_null(jt_settings_policy(&s, "stale", 5));
}

Test(settings, first_rule_that_matches_holds)
{
	const uint32_t groups[] = {7, 8};

	add_rule("a", JT_RULE_UID, 33);
	add_rule("b", JT_RULE_GID, 8);
	add_rule("c", JT_RULE_UID, 34);
	add_rule("rest", JT_RULE_ANYBODY, 0);
	add_rule("late", JT_RULE_UID, 35);
	cr_expect_str_eq(who(33, 8, groups, 2), "a");
	cr_expect_str_eq(who(34, 8, NULL, 0), "b", "by the first group");
	cr_expect_str_eq(who(34, 1, groups, 2), "b", "by another group");
	cr_expect_str_eq(who(34, 1, groups, 1), "c");
	cr_expect_str_eq(who(35, 1, NULL, 0), "rest", "not the later one");
	cr_expect_str_eq(who(8, 1, NULL, 0), "rest", "a gid is no uid");
	cr_expect_str_eq(who(0, 0, NULL, 0), "rest");
}

Test(settings, nobody_stands_behind_the_last_rule)
{
	const struct jt_rule *r;

	add_rule("a", JT_RULE_UID, 33)->verify = 1;
	r = jt_settings_rule(&s, geteuid(), 1, NULL, 0);
	cr_expect_str_eq(r->name, "nobody", "not even the daemon's own user");
	cr_expect_eq(r->verify, 0);
	cr_expect_eq(r->see_owner + r->see_scopes, 0);
	cr_expect_eq(r->attach, JT_ATTACH_NO);
}

Test(settings, without_rules_all_verify_and_only_we_attach)
{
	const struct jt_rule *other =
		jt_settings_rule(&s, geteuid() + 4711, 1, NULL, 0);

	cr_expect_eq(other->verify, 1);
	cr_expect_eq(other->attach, JT_ATTACH_NO);
	cr_expect_eq(jt_settings_rule(&s, geteuid(), 1, NULL, 0)->attach,
		     JT_ATTACH_SPEND);
	cr_expect_eq(jt_settings_rule(&s, 0, 1, NULL, 0)->attach,
		     JT_ATTACH_SPEND);
}

/* ---- in shared memory ---- */

static struct help_table table;

Test(settings, each_publication_is_followed_once)
{
	static struct jt_settings mine;
	uint64_t generation = 0;

	help_table_new(&table, 64);
	cr_expect_not(jt_settings_follow(&table.reader, &generation, &mine));
	jt_settings_publish(&table.maps, &s);
	cr_assert(jt_settings_follow(&table.reader, &generation, &mine));
	cr_expect_eq(memcmp(&mine, &s, sizeof(s)), 0);
	cr_expect_not(jt_settings_follow(&table.reader, &generation, &mine));
	for (unsigned i = 0; i < 5; i++) { /* of many, the newest */
		s.policies[0].cost = i;
		jt_settings_publish(&table.maps, &s);
	}
	cr_assert(jt_settings_follow(&table.reader, &generation, &mine));
	cr_expect_eq(mine.policies[0].cost, 4);
	cr_expect_eq(jt_load_relaxed(&table.maps.identity->news.settings), 6);
}

/* Every number of one publication is the same: a mixture would show. */
static void fill(struct jt_settings *to, uint32_t n)
{
	to->n_policies = JT_POLICIES_MAX;
	to->n_rules = JT_RULES_MAX;
	for (unsigned i = 0; i < JT_POLICIES_MAX; i++)
		to->policies[i].cost = n;
	for (unsigned i = 0; i < JT_RULES_MAX; i++)
		to->rules[i].connections_max = n;
}

static _Atomic bool over;

static void *write_on(void *ctx)
{
	static struct jt_settings next;

	for (uint32_t n = 1; n <= 2000; n++) {
		fill(&next, n);
		jt_settings_publish(&table.maps, &next);
	}
	over = true;
	return NULL;
}

Test(settings, reader_beside_a_writer_never_sees_a_mixture, .timeout = 60)
{
	static struct jt_settings mine;
	uint64_t generation = 0;
	uint32_t last = 0;
	pthread_t writer;

	help_table_new(&table, 64);
	cr_assert_eq(pthread_create(&writer, NULL, write_on, NULL), 0);
	while (!over) {
		if (!jt_settings_follow(&table.reader, &generation, &mine))
			continue;
		for (unsigned i = 0; i < JT_POLICIES_MAX; i++)
			cr_assert_eq(mine.policies[i].cost,
				     mine.policies[0].cost);
		for (unsigned i = 0; i < JT_RULES_MAX; i++)
			cr_assert_eq(mine.rules[i].connections_max,
				     mine.policies[0].cost);
		cr_assert_geq(mine.policies[0].cost, last, "never back");
		last = mine.policies[0].cost;
	}
	pthread_join(writer, NULL);
	jt_settings_follow(&table.reader, &generation, &mine);
	cr_expect_eq(mine.policies[0].cost, 2000);
}
