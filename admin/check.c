/*
 * check: verifying all that was committed, and receipts.
 *
 * Opening a journal looks at its ends only: header, slots, last record. This
 * reads every record, those in archives too, and holds the other slot, the
 * anchor and a receipt against the tags that it meets on the way.
 */
#include "admin/archive.h"
#include "admin/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CHUNK_RECORDS 128u

/* Do the slots claim the tags of the N records that end before r->next? */
static int match_slots(const struct jt_slots *slots, const struct jt_reader *r,
		       const struct jt_record *records, size_t n,
		       struct jt_fault *faultp)
{
	uint64_t first = r->next - n;

	for (unsigned i = 0; i < 2; i++) {
		const struct jt_commit *c = &slots->commit[i];

		if (!slots->valid[i] || c->number < first ||
		    c->number >= r->next)
			continue;
		if (memcmp(c->tag, records[c->number - first].tag,
			   JT_TAG_BYTES) != 0)
			return jt_journal_damaged(
				faultp, 0, JT_PAGE_BYTES * (1u + i),
				"a commit slot has another tag than its "
				"record");
	}
	return 0;
}

/* Slots that name no record of this file: the base itself, or before it. */
static int match_base(const struct jt_journal *j, const struct jt_slots *slots,
		      struct jt_fault *faultp)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct jt_commit *c = &slots->commit[i];

		if (!slots->valid[i] || c->number > j->base)
			continue;
		if (c->number < j->base ||
		    memcmp(c->tag, j->base_tag, JT_TAG_BYTES) != 0)
			return jt_journal_damaged(
				faultp, 0, JT_PAGE_BYTES * (1u + i),
				"a commit slot does not fit the header");
	}
	return 0;
}

static uint64_t count_batches(const struct jt_record *records, size_t n)
{
	uint64_t batches = 0;

	for (size_t i = 0; i < n; i++)
		batches += records[i].part == records[i].parts;
	return batches;
}

static uint64_t reserve(const struct jt_journal *j)
{
	uint64_t end = jt_record_offset(j->origin, j->committed.number + 1);

	return j->file_bytes < end ? 0
				   : (j->file_bytes - end) / JT_RECORD_BYTES;
}

int jt_journal_verify(const struct jt_journal *j, const struct jt_slots *slots,
		      struct jt_journal_summary *summaryp,
		      struct jt_fault *faultp)
{
	struct jt_record records[CHUNK_RECORDS];
	struct jt_reader r;
	size_t n;
	int rc = match_base(j, slots, faultp);

	if (rc != 0)
		return rc;
	jt_reader_init(&r, j);
	do {
		bool state = jt_reader_in_state(&r);

		rc = jt_reader_next(&r, records, CHUNK_RECORDS, &n, faultp);
		if (rc == 0 && !state)
			rc = match_slots(slots, &r, records, n, faultp);
		if (rc != 0)
			return rc;
		summaryp->records += n;
		if (state)
			summaryp->state += n;
		else
			summaryp->batches += count_batches(records, n);
	} while (n > 0);
	summaryp->reserve = reserve(j);
	if (j->adopted)
		return jt_fault_set(
			faultp, JT_JOURNAL_E_DAMAGED, 0,
			JT_PAGE_BYTES * (1u + j->slot_next),
			"journal: the commit slot at byte %u was damaged; "
			"records up to %" PRIu64 " stand; the next change "
			"repairs it",
			JT_PAGE_BYTES * (1u + j->slot_next),
			j->committed.number);
	return 0;
}

static int check_expect(const struct jt_journal *j,
			const struct jt_commit *expect, struct jt_fault *faultp)
{
	uint8_t tag[JT_TAG_BYTES];
	int rc;

	if (expect->number > j->committed.number)
		return jt_fault_set(faultp, JT_JOURNAL_E_OLD, expect->number, 0,
				    "journal ends at record %" PRIu64
				    ", the receipt says %" PRIu64
				    ": this is an older copy",
				    j->committed.number, expect->number);
	rc = jt_archive_tag(j, expect->number, tag, faultp);
	if (rc != 0 || memcmp(tag, expect->tag, sizeof(tag)) == 0)
		return rc;
	return jt_fault_set(faultp, JT_JOURNAL_E_OLD, expect->number, 0,
			    "journal: record %" PRIu64 " is not the receipt's: "
			    "this is another history",
			    expect->number);
}

int jt_journal_check(const struct jt_io *io, const char *dir,
		     const struct jt_commit *expect,
		     struct jt_journal_summary *summaryp,
		     struct jt_fault *faultp)
{
	struct jt_slots slots;
	struct jt_journal j;
	struct jt_place p;
	int rc;

	*summaryp = (struct jt_journal_summary){0};
	rc = jt_place_open(&p, io, dir, faultp);
	if (rc != 0)
		return rc;
	rc = jt_journal_attach(&j, &p, JT_JOURNAL_NAME, O_RDONLY, &slots,
			       faultp);
	if (rc != 0) {
		io->close(p.fd);
		return rc;
	}
	rc = jt_journal_verify(&j, &slots, summaryp, faultp);
	if (rc == 0)
		rc = jt_archive_verify(&j, &summaryp->archives,
				       &summaryp->first, faultp);
	if (rc == 0)
		rc = jt_anchor_guard(&j, faultp);
	if (rc == 0 && expect != NULL)
		rc = check_expect(&j, expect, faultp);
	jt_journal_close(&j);
	return rc;
}

void jt_receipt_format(const struct jt_commit *c, char out[JT_RECEIPT_MAX])
{
	int n = snprintf(out, JT_RECEIPT_MAX, "%" PRIu64 ":", c->number);

	for (size_t i = 0; i < JT_TAG_BYTES; i++)
		snprintf(out + n + 2 * i, 3, "%02x", c->tag[i]);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int jt_receipt_parse(const char *text, struct jt_commit *cp)
{
	struct jt_commit c = {.number = 0};
	const char *t = text;

	for (; *t >= '0' && *t <= '9'; t++) {
		c.number = c.number * 10 + (uint64_t)(*t - '0');
		if (c.number > JT_NUMBER_MAX)
			return -EINVAL;
	}
	if (t == text || *t++ != ':')
		return -EINVAL;
	for (size_t i = 0; i < JT_TAG_BYTES; i++) {
		int high = hex_digit(t[0]);
		int low = high < 0 ? -1 : hex_digit(t[1]);

		if (low < 0)
			return -EINVAL;
		c.tag[i] = (uint8_t)(high << 4 | low);
		t += 2;
	}
	if (*t != '\0')
		return -EINVAL;
	*cp = c;
	return 0;
}
