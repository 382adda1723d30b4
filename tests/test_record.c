/* record: every type has a word, and JSON that says what it holds. */
#include "admin/record_json.h"

#include <criterion/criterion.h>
#include <string.h>

Test(record, every_type_has_a_word_of_its_own)
{
	for (uint8_t i = 1; i <= JT_REC_LAST; i++) {
		if (i == 12)
			continue; /* no type */
		cr_expect_str_neq(jt_record_verb(i), "?");
		for (uint8_t k = 1; k < i; k++)
			cr_expect_str_neq(jt_record_verb(i), jt_record_verb(k));
	}
	cr_expect_str_eq(jt_record_verb(0), "?");
	cr_expect_str_eq(jt_record_verb(12), "?");
	cr_expect_str_eq(jt_record_verb(JT_REC_LAST + 1), "?");
	cr_expect_str_eq(jt_record_verb(255), "?");
}

static void expect_text(const struct jt_record *r, const char *key,
			const char *text)
{
	json_t *o = jt_record_json(r);

	cr_assert_not_null(o);
	cr_expect_str_eq(json_string_value(json_object_get(o, "type")),
			 jt_record_verb(r->type));
	cr_expect_str_eq(json_string_value(json_object_get(o, key)), text);
	json_decref(o);
}

Test(record, json_says_what_the_type_holds)
{
	struct jt_record r = {.type = JT_REC_SCOPE};

	strcpy(r.scope.name, "orders:read");
	expect_text(&r, "name", "orders:read");
	r = (struct jt_record){.type = JT_REC_REASON};
	strcpy(r.reason, "laptop lost");
	expect_text(&r, "reason", "laptop lost");
	r = (struct jt_record){.type = JT_REC_RULES};
	strcpy(r.rules.max_lifetime, "1y");
	expect_text(&r, "max_lifetime", "1y");
	r = (struct jt_record){.type = JT_REC_SCOPES};
	r.scopes.bits[1] = 0xab;
	expect_text(&r, "bits",
		    "00ab0000000000000000000000000000"
		    "00000000000000000000000000000000");
	r = (struct jt_record){.type = JT_REC_PLAN};
	strcpy(r.plan.name, "gold");
	r.plan.quota_unit = JT_QUOTA_MONTH;
	expect_text(&r, "name", "gold");
	expect_text(&r, "quota_unit", "month");
	r = (struct jt_record){.type = JT_REC_NOTICE};
	r.notice.expires_s = 86400;
	expect_text(&r, "expires", "1970-01-02T00:00:00Z");
	for (uint8_t i = 1; i <= JT_REC_PURGE; i++) {
		if (!jt_record_is_token(i))
			continue;
		r = (struct jt_record){.type = i};
		strcpy(r.token.owner, "web");
		expect_text(&r, "owner", "web");
		expect_text(&r, "scheme", "native");
	}
}
