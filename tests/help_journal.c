/*
 * help_journal: see the header.
 */
#include "tests/help_journal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct jt_fault help_fault;

void help_records(struct jt_record *records, size_t n, enum jt_record_type type)
{
	static unsigned count;

	memset(records, 0, n * sizeof(*records));
	for (size_t i = 0; i < n; i++, count++) {
		struct jt_record *r = &records[i];

		r->type = (uint8_t)type;
		memcpy(r->env, "live", 4);
		if (type == JT_REC_PLAN) {
			r->plan.number = (uint16_t)(count % 65535 + 1);
			r->plan.rate = count;
			continue;
		}
		snprintf(r->token.name, sizeof(r->token.name), "name %u",
			 count);
		for (unsigned k = 0, c = count; k < JT_ID_BYTES; k++, c /= 10)
			r->token.id[k] = (char)('0' + c % 10);
		memset(r->token.digest, (int)(count % 251), JT_DIGEST_BYTES);
		memcpy(r->token.owner, "somebody", 8);
		r->token.expires_s = 1800000000u + count;
	}
}

int help_append(size_t n, enum jt_record_type type)
{
	struct jt_record *records = calloc(n, sizeof(*records));
	struct jt_journal j;
	int rc;

	cr_assert_not_null(records);
	help_records(records, n, type);
	rc = jt_journal_open_write(&j, &help_io, HELP_DIR, 50, &help_fault);
	if (rc == 0) {
		rc = jt_journal_append(&j, records, n, &help_fault);
		jt_journal_close(&j);
	}
	free(records);
	return rc;
}

void help_journal_new(unsigned commits)
{
	help_io_kill();
	disk_clear(&help_disk);
	cr_assert_eq(jt_journal_create(&help_io, HELP_DIR, "jt", &help_fault),
		     0, "%s", help_fault.line);
	for (unsigned i = 0; i < commits; i++)
		cr_assert_eq(help_append(1, JT_REC_CREATE), 0, "%s",
			     help_fault.line);
}

int help_look(struct jt_commit *cp)
{
	struct jt_journal j;
	int rc = jt_journal_open(&j, &help_io, HELP_DIR, &help_fault);

	if (rc != 0)
		return rc;
	*cp = j.committed;
	jt_journal_close(&j);
	return 0;
}

int help_check(void)
{
	struct jt_journal_summary sum;

	return jt_journal_check(&help_io, HELP_DIR, NULL, &sum, &help_fault);
}

struct jt_commit help_commit(void)
{
	struct jt_commit c;

	cr_assert_eq(help_check(), 0, "%s", help_fault.line);
	cr_assert_eq(help_look(&c), 0, "%s", help_fault.line);
	return c;
}

bool help_same(const struct jt_commit *a, const struct jt_commit *b)
{
	return a->number == b->number &&
	       memcmp(a->tag, b->tag, sizeof(a->tag)) == 0;
}

uint64_t help_random(uint64_t *seed)
{
	uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}
