/* describe: records in words; walk: every record with the names of then. */
#include "admin/describe.h"
#include "admin/walk.h"

#include "tests/help_journal.h"
#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct jt_catalog names;
static struct jt_record before, after;
static char said[4096];

static void learn(struct jt_record r)
{
	static uint64_t number;

	r.number = ++number;
	cr_assert_eq(jt_catalog_apply(&names, &r, NULL), 0);
}

static void start(void)
{
	struct help_token token;

	cr_assert_eq(jt_catalog_init(&names), 0);
	learn(help_plan_record(1, "gold", 100, 200));
	learn(help_plan_record(2, "", 5, 5));
	learn(help_scope_record(1, "a:b"));
	learn(help_scope_record(2, "c:*"));
	learn(help_set_record(1, 1, 1));
	learn(help_set_record(2, 1, 2));
	help_token_make(&token, "live");
	before = help_create(&token);
	strcpy(before.token.name, "one");
	after = before;
}

static void stop(void)
{
	jt_catalog_deinit(&names);
}

TestSuite(describe, .init = start, .fini = stop);

static void put(void *ctx, const char *field, const char *from, const char *to)
{
	size_t n = strlen(said);

	cr_assert_eq(ctx, said);
	snprintf(said + n, sizeof(said) - n, "%s: %s -> %s\n", field,
		 from ? from : "(new)", to);
}

static const char *describe(const struct jt_record *from)
{
	said[0] = '\0';
	jt_describe_token(&names, from, &after, put, said);
	return said;
}

Test(describe, no_difference_says_nothing)
{
	cr_expect_str_eq(describe(&before), "");
	after.type = JT_REC_RENEW; /* the verb is told elsewhere */
	cr_expect_str_eq(describe(&before), "");
}

Test(describe, new_token_says_what_it_has)
{
	before.token.owner[0] = '\0';
	after.token.owner[0] = '\0';
	cr_expect_str_eq(describe(NULL),
			 "name: (new) -> one\nenv: (new) -> live\n"
			 "expires: (new) -> 2027-02-14T08:00:00Z\n");
	strcpy(after.token.owner, "web");
	after.token.plan = 1;
	after.token.own = 2;
	after.token.scope_set = 2;
	after.token.flags = JT_TOKEN_RECOVERABLE;
	cr_expect_str_eq(describe(NULL),
			 "name: (new) -> one\nenv: (new) -> live\n"
			 "owner: (new) -> web\n"
			 "expires: (new) -> 2027-02-14T08:00:00Z\n"
			 "plan: (new) -> gold\nlimits: (new) -> 5/s burst 5\n"
			 "scopes: (new) -> a:b c:*\n"
			 "recoverable: (new) -> yes\n");
}

Test(describe, each_field_is_told_from_and_to)
{
	strcpy(after.token.name, "two");
	strcpy(after.token.owner, "web");
	after.token.expires_s += 86400;
	after.token.digest[31] ^= 1;
	after.token.old_until_s = (uint32_t)HELP_NOW_S;
	after.token.plan = 1;
	after.token.own = 2;
	after.token.scope_set = 1;
	after.token.flags = JT_TOKEN_SUSPENDED | JT_TOKEN_RECOVERABLE;
	before.token.owner[0] = '\0';
	cr_expect_str_eq(
		describe(&before),
		"name: one -> two\nowner:  -> web\n"
		"status: active -> suspended\n"
		"expires: 2027-02-14T08:00:00Z -> 2027-02-15T08:00:00Z\n"
		"value: the one before -> a new one\n"
		"old_value_until: none -> 2027-01-15T08:00:00Z\n"
		"plan: none -> gold\nlimits: none -> 5/s burst 5\n"
		"scopes: none -> a:b\nrecoverable: no -> yes\n");
}

Test(describe, end_of_a_token_is_a_status)
{
	after.type = JT_REC_REVOKE;
	cr_expect_str_eq(describe(&before), "status: active -> revoked\n");
	before.type = JT_REC_REVOKE;
	after.type = JT_REC_PURGE;
	cr_expect_str_eq(describe(&before), "status: revoked -> forgotten\n");
}

Test(describe, fields_without_terminator_are_whole)
{
	memset(after.token.name, 'n', JT_NAME_MAX);
	memset(after.token.owner, 'o', JT_OWNER_MAX);
	describe(&before);
	cr_expect(strstr(said, "nnnn\n"));
	cr_expect(strstr(said, "oooo\n"));
	cr_expect_null(strstr(said, "no"));
}

Test(describe, number_that_was_never_given_is_none)
{
	after.token.plan = UINT16_MAX;
	after.token.own = UINT16_MAX;
	after.token.scope_set = UINT16_MAX;
	cr_expect_str_eq(describe(&before), "");
}

static const char *event(const struct jt_record *r)
{
	jt_describe_event(&names, r, said);
	return said;
}

static const char *subject(const struct jt_record *r)
{
	jt_describe_subject(r, said);
	return said;
}

Test(describe, plan_says_what_it_becomes)
{
	struct jt_record r = help_plan_record(1, "gold", 7, 7);

	cr_expect_str_eq(subject(&r), "plan gold");
	cr_expect_str_eq(event(&r), "100/s burst 200 -> 7/s burst 7");
	r.plan.removed = 1;
	cr_expect_str_eq(event(&r), "100/s burst 200 -> removed");
	r = help_plan_record(3, "silver", 7, 7);
	cr_expect_str_eq(event(&r), "7/s burst 7");
	r = help_plan_record(3, "", 7, 7);
	cr_expect_str_eq(subject(&r), "limits 3");
}

Test(describe, other_kinds_say_what_they_are_about)
{
	struct jt_record r = {.type = JT_REC_NOTICE};

	memcpy(r.notice.id, before.token.id, JT_ID_BYTES);
	r.notice.expires_s = (uint32_t)HELP_NOW_S;
	r.notice.days = 7;
	cr_expect_eq(strncmp(subject(&r), before.token.id, JT_ID_BYTES), 0);
	cr_expect_eq(strlen(said), JT_ID_BYTES);
	cr_expect_str_eq(event(&r),
			 "7 days before 2027-01-15T08:00:00Z announced");
	r.notice.days = 0;
	cr_expect_str_eq(event(&r), "end at 2027-01-15T08:00:00Z announced");
	after.type = JT_REC_COPY;
	cr_expect_str_eq(event(&after), "the value was read from the vault");
	r = help_scope_record(1, "x:y");
	cr_expect_str_eq(subject(&r), "scope x:y");
	cr_expect_str_eq(event(&r), "");
	r = (struct jt_record){.type = JT_REC_RULES};
	cr_expect_str_eq(subject(&r), "rules");
	cr_expect_str_eq(event(&r), "");
	memset(r.rules.max_lifetime, '9', sizeof(r.rules.max_lifetime));
	cr_expect_str_eq(event(&r),
			 "no token lives longer than 9999999999999999");
}

Test(describe, user_is_a_name_or_a_number)
{
	const struct passwd *me = getpwuid(geteuid());

	cr_expect_str_eq(jt_describe_user(4294967294u), "4294967294");
	if (me)
		cr_expect_str_eq(jt_describe_user(geteuid()), me->pw_name);
	cr_expect_str_eq(jt_describe_user(4294967293u), "4294967293");
}

Test(describe, uid_is_shown_with_its_name_if_it_has_one)
{
	const struct passwd *me = getpwuid(geteuid());
	char text[JT_UID_TEXT], want[JT_UID_TEXT];

	snprintf(want, sizeof(want), "uid %u (%s)", geteuid(),
		 me ? me->pw_name : "?");
	jt_describe_uid(geteuid(), text);
	if (me)
		cr_expect_str_eq(text, want);
	jt_describe_uid(4294967294u, text);
	cr_expect_str_eq(text, "uid 4294967294");
}

/* ---- the walk ---- */

struct seen {
	uint64_t n, last;
	unsigned ends;
	uint64_t plans_before_token;
	int stop_at, code;
};

static int visit(void *ctx, const struct jt_walk *w, const struct jt_record *r)
{
	struct seen *s = ctx;

	cr_assert_not(w->kept);
	if (!r) {
		s->ends++;
		return 0;
	}
	cr_assert_eq(s->ends, 0);
	cr_assert_eq(r->number, s->last + 1);
	s->last = r->number;
	s->n++;
	if (r->type == JT_REC_PLAN)
		cr_expect_eq(w->names.n_plans, r->plan.number - 1u);
	return (int)s->n == s->stop_at ? s->code : 0;
}

Test(describe, walk_visits_all_and_then_ends)
{
	struct seen s = {.n = 0};

	help_journal_new(0);
	cr_assert_eq(jt_walk(&help_io, HELP_DIR, visit, &s, &help_fault), 0);
	cr_expect_eq(s.n, 0);
	cr_expect_eq(s.ends, 1);
	help_journal_new(2);
	s = (struct seen){.n = 0};
	cr_assert_eq(help_append(1500, JT_REC_CREATE), 0);
	cr_assert_eq(jt_walk(&help_io, HELP_DIR, visit, &s, &help_fault), 0);
	cr_expect_eq(s.n, 1502);
	cr_expect_eq(s.ends, 1);
}

Test(describe, walk_ends_when_it_is_told_to)
{
	struct seen s = {.stop_at = 3, .code = -EPIPE};

	help_journal_new(5);
	cr_assert_eq(jt_walk(&help_io, HELP_DIR, visit, &s, &help_fault),
		     -EPIPE);
	cr_expect_eq(s.n, 3);
	cr_expect_eq(s.ends, 0);
}

Test(describe, walk_says_why_there_is_nothing)
{
	struct seen s = {.n = 0};

	help_journal_new(0);
	cr_assert_eq(jt_walk(&help_io, "/elsewhere", visit, &s, &help_fault),
		     JT_JOURNAL_E_NONE);
	cr_expect_gt(strlen(help_fault.line), 10);
}
