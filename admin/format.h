/*
 * format: the bytes of a journal and what makes them valid. Pure: no I/O.
 *
 * Essay at the top of journal.c; the records are in record.h. Everything here
 * takes bytes that a stranger may have written: nothing is trusted, nothing
 * overflows, and a refusal comes with its reason in *WHYP (a static string).
 * Hash: BLAKE2b-128 of RFC 7693, personalised so that no page, slot or record
 * can stand for another. For the files of admin/ alone.
 */
#ifndef JT_ADMIN_FORMAT_H
#define JT_ADMIN_FORMAT_H

#include "admin/journal.h"

#define JT_PAGE_BYTES 4096u
#define JT_RECORD_BYTES 256u
/*
 * Version 2 added record types, quotas and the fields that replaced zeros in
 * version 1; what version 1 wrote means the same here and is read and gone on
 * with. An older build refuses what it does not know.
 */
#define JT_FORMAT_VERSION 2u
#define JT_FORMAT_OLDEST 1u
/* Records ever written: keeps every number and offset far from overflow. */
#define JT_NUMBER_MAX (UINT64_C(1) << 48)

struct jt_header_page {
	char magic[8];
	uint32_t version;
	uint32_t page_bytes;
	uint8_t id[16];
	uint64_t generation; /* 1 at creation, one more with each new file */
	char prefix[8];
	uint64_t base;	      /* zero in generation 1 */
	uint8_t base_tag[16]; /* zero in generation 1 */
	uint64_t created_ns;
	uint64_t state_records; /* in front: what base and before come to */
	uint8_t state_tag[16];	/* of the last of them; zero: there are none */
	uint64_t archive; /* generation of the file that `base` ends; 0: none */
	uint8_t zero[3968];
	uint8_t checksum[16];
};

struct jt_slot_page {
	char magic[8];
	uint64_t number;
	uint64_t time_ns;
	uint8_t tag[16];
	uint8_t zero[456];
	uint8_t checksum[16];
	uint8_t zeros[3584];
};

static_assert(sizeof(struct jt_header_page) == JT_PAGE_BYTES, "header page");
static_assert(offsetof(struct jt_header_page, base) == 48, "header base");
static_assert(offsetof(struct jt_header_page, state_records) == 80, "state");
static_assert(offsetof(struct jt_header_page, archive) == 104, "archive");
static_assert(offsetof(struct jt_header_page, zero) == 112, "header zeros");
static_assert(sizeof(struct jt_slot_page) == JT_PAGE_BYTES, "slot page");
static_assert(offsetof(struct jt_slot_page, checksum) == 496, "slot sector");

struct jt_slots {
	bool valid[2];
	struct jt_commit commit[2];
};

bool jt_all_zero(const void *bytes, size_t n);

/* Offset of record NUMBER in a file with that ORIGIN (journal.h). */
uint64_t jt_record_offset(uint64_t origin, uint64_t number);

/* Fill in magic, version, sizes and checksum. */
void jt_header_seal(struct jt_header_page *h);
/* 0, JT_JOURNAL_E_DAMAGED or JT_JOURNAL_E_VERSION. */
int jt_header_check(const struct jt_header_page *h, const char **whyp);
/* The tag that record base+1 chains from. */
void jt_header_first_tag(const struct jt_header_page *h,
			 uint8_t out[JT_TAG_BYTES]);

/* WHICH: 0 for page 1, 1 for page 2. */
void jt_slot_make(struct jt_slot_page *page, const uint8_t id[16],
		  unsigned which, const struct jt_commit *c);
bool jt_slot_check(const struct jt_slot_page *page, const uint8_t id[16],
		   unsigned which, struct jt_commit *cp);

/* Fields and padding of one record, but for number, batch and tag. */
int jt_record_check(const struct jt_record *rec, const char **whyp);

/* Set the tags of N records, the first of which follows on TAG (updated). */
void jt_chain_seal(struct jt_record *records, size_t n,
		   uint8_t tag[JT_TAG_BYTES]);
/* The same for state records, whose first follows on the base's tag. */
void jt_state_seal(struct jt_record *records, size_t n,
		   uint8_t tag[JT_TAG_BYTES]);
/*
 * Verify N records as the continuation of R and advance R past each that
 * holds; on a refusal r->next is the number of the bad one. They may not pass
 * the base: state records and others are told apart by r->next. 0,
 * JT_JOURNAL_E_DAMAGED, or JT_JOURNAL_E_VERSION for an unknown type.
 */
int jt_chain_check(struct jt_reader *r, const struct jt_record *records,
		   size_t n, const char **whyp);
/* Does R stand behind a whole batch? */
bool jt_chain_closed(const struct jt_reader *r);

#endif
