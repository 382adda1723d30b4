/*
 * torture_damage: bytes of a sound journal of 64 records, or of its snapshot,
 * that are no longer what they were.
 *
 * Every cut, every bit, every value of every byte; records swapped, doubled,
 * dropped, zeroed, taken from another journal or from another history. Either
 * it is refused, or everything is told as before. A commit slot that is bad is
 * the one thing that is made good: the other one leads to the same batches.
 */
#include "tests/torture.h"

#include "admin/format.h"

#define RECORDS 64u
#define END (JT_JOURNAL_DATA + RECORDS * JT_RECORD_BYTES)
#define PAGES (END / JT_PAGE_BYTES)
#define TAIL_MAX (4u << 20)

static struct torture_state last;
static struct disk sound;
static uint8_t flat[END], changed[END], foreign[END], forked[END], older[END];

static struct disk_file *file_of(const char *name)
{
	int i = disk_find(&help_disk, name);

	if (i < 0)
		stress_die(name, 1);
	return &help_disk.file[i];
}

static uint8_t *byte_at(struct disk_file *f, uint64_t at)
{
	if (!f->page[at / DISK_PAGE])
		f->page[at / DISK_PAGE] = calloc(1, sizeof(struct disk_page));
	if (!f->page[at / DISK_PAGE])
		stress_die("memory", -ENOMEM);
	return &f->page[at / DISK_PAGE]->now[at % DISK_PAGE];
}

static void read_flat(uint8_t to[END])
{
	disk_read(&help_disk, disk_find(&help_disk, JT_JOURNAL_NAME), to, END,
		  0, false);
}

/* Commit batches of 1 to 4 until that record. */
static void grow(struct torture_state *s, uint64_t to)
{
	struct jt_record records[T_BATCH_MAX];
	struct torture_state next;

	while (s->number < to) {
		uint64_t n = 1 + stress_below(&t.random, 4);

		if (n > to - s->number)
			n = to - s->number;
		(void)torture_invent(s, &next, records, n);
		if (torture_append(records, n))
			torture_failed("a commit of the sample");
		*s = next;
	}
}

/*
 * The sample, its anchor beside it, and to take records from: another journal,
 * and another history of this one, the same up to record 32.
 */
static void make_journals(void)
{
	static struct disk half;
	struct torture_state s;

	torture_begin(&s);
	grow(&s, RECORDS);
	read_flat(foreign);
	torture_begin(&last);
	grow(&last, RECORDS / 2);
	disk_copy(&half, &help_disk);
	read_flat(older);
	s = last;
	grow(&s, RECORDS);
	read_flat(forked);
	disk_copy(&help_disk, &half);
	grow(&last, RECORDS);
	if (torture_anchor())
		torture_failed("anchor");
	disk_copy(&sound, &help_disk);
	read_flat(flat);
	memcpy(changed, flat, END);
}

/* Ask everything if it opens. */
static void refused_or_same(void)
{
	struct torture_seen seen = torture_look(&last, 1, false);

	if (seen.rc)
		T_COUNT(refused);
	else if (seen.adopted)
		T_COUNT(adopted);
	else
		T_COUNT(recovered);
}

/* The same, where it is too often to ask each time. */
static void refused_or_whole(void)
{
	uint64_t number;
	bool adopted;

	if (torture_read(&number, &adopted)) {
		T_COUNT(refused);
		return;
	}
	if (adopted)
		T_COUNT(adopted);
	if (number != last.number) {
		T_COUNT(lost);
		torture_failed("ends with record %" PRIu64 " of %u", number,
			       RECORDS);
	}
}

static void must_be_refused(const char *what)
{
	struct torture_seen seen = torture_look(&last, 1, false);

	if (!seen.rc)
		torture_failed("%s is not noticed", what);
	T_COUNT(refused);
	T_COUNT(damages);
}

static void flip_bits(void)
{
	struct disk_file *f = file_of(JT_JOURNAL_NAME);

	t.step = "flip of a bit";
	for (t.at = 0; t.at < END * 8; t.at++) {
		uint8_t *byte = byte_at(f, t.at / 8);

		if (!torture_mine(t.at))
			continue;
		*byte ^= (uint8_t)(1u << t.at % 8);
		refused_or_same();
		T_COUNT(flips);
		*byte ^= (uint8_t)(1u << t.at % 8);
	}
}

static void set_bytes(void)
{
	struct disk_file *f = file_of(JT_JOURNAL_NAME);

	t.step = "value of a byte";
	for (t.at = 0; t.at < END * 255; t.at++) {
		uint8_t *byte = byte_at(f, t.at / 255), was = *byte;

		if (!torture_mine(t.at))
			continue;
		*byte = (uint8_t)(was + 1 + t.at % 255);
		refused_or_whole();
		T_COUNT(values);
		*byte = was;
	}
}

static void truncate_everywhere(void)
{
	int file = disk_find(&help_disk, JT_JOURNAL_NAME);

	t.step = "cut";
	for (t.at = 0; t.at <= END + 3 * JT_RECORD_BYTES; t.at++) {
		if (!torture_mine(t.at))
			continue;
		disk_copy(&help_disk, &sound);
		disk_resize(&help_disk, file, t.at);
		disk_flush(&help_disk, file);
		T_COUNT(truncations);
		if (t.at < END && !torture_look(&last, 1, false).rc)
			torture_failed("a cut below the commit is not noticed");
		if (t.at < END)
			T_COUNT(refused);
		else
			refused_or_same();
	}
	disk_copy(&help_disk, &sound);
}

/* ---- records moved about ---- */

static uint8_t *record(uint8_t *of, uint64_t i)
{
	return of + JT_JOURNAL_DATA + i * JT_RECORD_BYTES;
}

static void put_changed(void)
{
	int file = disk_find(&help_disk, JT_JOURNAL_NAME);

	disk_write(&help_disk, file, changed, END, 0);
	memcpy(changed, flat, END);
}

static void swap(uint64_t i, uint64_t k)
{
	memcpy(record(changed, i), record(flat, k), JT_RECORD_BYTES);
	memcpy(record(changed, k), record(flat, i), JT_RECORD_BYTES);
	put_changed();
	must_be_refused("a swap");
}

static void double_into(uint64_t i, uint64_t k)
{
	memcpy(record(changed, i), record(flat, k), JT_RECORD_BYTES);
	put_changed();
	must_be_refused("a record in another's place");
}

/* Those behind it move up, and the last one is there twice. */
static void drop(uint64_t i, uint64_t n)
{
	uint64_t tail = RECORDS - i - n;

	memmove(record(changed, i), record(flat, i + n),
		tail * JT_RECORD_BYTES);
	put_changed();
	must_be_refused("a record dropped");
}

static void zero(uint64_t i, uint64_t n)
{
	memset(record(changed, i), 0, n * JT_RECORD_BYTES);
	put_changed();
	must_be_refused("a record zeroed");
}

static void move_records(void)
{
	t.step = "records moved";
	for (uint64_t i = 0; i < RECORDS; i++) {
		for (uint64_t k = 0; k < RECORDS; k++) {
			t.at = i * RECORDS + k;
			if (!torture_mine(t.at))
				continue;
			if (i < k)
				swap(i, k);
			if (i != k)
				double_into(i, k);
			if (i + k < RECORDS)
				zero(i, k + 1);
			if (i + k + 1 < RECORDS)
				drop(i, k + 1);
		}
	}
	put_changed();
}

/* Records and slots of another journal, and of an older copy gone elsewhere. */
static void splice(const uint8_t *other, const char *what)
{
	for (t.at = 0; t.at < RECORDS * RECORDS; t.at++) {
		uint64_t i = t.at / RECORDS, n = t.at % RECORDS + 1;
		uint64_t at = JT_JOURNAL_DATA + i * JT_RECORD_BYTES;

		if (!torture_mine(t.at) || i + n > RECORDS ||
		    !memcmp(flat + at, other + at, n * JT_RECORD_BYTES))
			continue;
		memcpy(changed + at, other + at, n * JT_RECORD_BYTES);
		put_changed();
		must_be_refused(what);
	}
	for (unsigned mask = 1; mask < 8; mask++) {
		for (unsigned page = 0; page < 3; page++)
			if (mask >> page & 1)
				memcpy(changed + page * JT_PAGE_BYTES,
				       other + page * JT_PAGE_BYTES,
				       JT_PAGE_BYTES);
		put_changed();
		T_COUNT(damages);
		refused_or_same();
	}
	put_changed();
}

/* Both slots from an earlier commit: only the anchor can tell, and does. */
static void rewind_slots(void)
{
	t.step = "slots swapped";
	for (t.at = 0; t.at < 3; t.at++) {
		for (unsigned page = 1; page <= 2; page++)
			if (t.at != 2 || page == 1)
				memcpy(changed + page * JT_PAGE_BYTES,
				       flat + (t.at == 0 ? 3 - page : page) *
						       JT_PAGE_BYTES,
				       JT_PAGE_BYTES);
		if (t.at == 1)
			memset(changed + JT_PAGE_BYTES, 0, 2 * JT_PAGE_BYTES);
		if (t.at == 2)
			memset(changed + JT_PAGE_BYTES, 0, JT_PAGE_BYTES);
		put_changed();
		T_COUNT(damages);
		refused_or_same();
	}
	put_changed();
}

/* An older copy put back, whole: only the anchor can tell, and does. */
static void put_older_back(void)
{
	t.step = "older copy";
	t.at = 0;
	memcpy(changed, older, END);
	put_changed();
	must_be_refused("an older copy put back");
	put_changed();
}

/* Garbage behind the commit: the same state, and the next commit works. */
static void litter(void)
{
	struct jt_record records[T_BATCH_MAX];
	struct torture_state next;
	int file = disk_find(&help_disk, JT_JOURNAL_NAME);
	static uint8_t noise[TAIL_MAX];

	t.step = "garbage behind the commit";
	for (uint64_t i = 0; i < TAIL_MAX; i += 8) {
		uint64_t z = stress_random(&t.random);

		memcpy(noise + i, &z, 8);
	}
	for (t.at = 0; t.at <= 600; t.at++) {
		uint64_t bytes = t.at < 513 ? t.at + 1 : (t.at - 512) * 47663;

		if (!torture_mine(t.at))
			continue;
		disk_copy(&help_disk, &sound);
		disk_write(&help_disk, file, noise, bytes, END);
		disk_flush(&help_disk, file);
		T_COUNT(damages);
		if (torture_look(&last, 1, false).rc)
			torture_failed("garbage behind the commit stops it");
		(void)torture_invent(&last, &next, records, 2);
		if (torture_append(records, 2) ||
		    torture_look(&next, 1, false).rc)
			torture_failed("no commit over garbage");
		T_COUNT(recovered);
		help_io_kill();
	}
	disk_copy(&help_disk, &sound);
}

/* Records that a crash left without their slot, and others in their place. */
static void phantoms(void)
{
	struct jt_record records[T_BATCH_MAX];
	struct torture_state next;
	int file = disk_find(&help_disk, JT_JOURNAL_NAME);

	t.step = "phantom";
	for (t.at = 0; t.at < 64; t.at++) {
		if (!torture_mine(t.at))
			continue;
		disk_copy(&help_disk, &sound);
		(void)torture_invent(&last, &next, records, t.at % 8 + 1);
		help_io_plan((struct help_plan){
			.fail_at = 1,
			.forever = true,
			.error = EIO,
			.kinds = 1u << CALL_DATASYNC,
		});
		if (!torture_append(records, t.at % 8 + 1))
			torture_failed("acknowledged without a flush");
		help_io_kill();
		disk_flush(&help_disk, file);
		(void)torture_invent(&last, &next, records, t.at / 8 + 1);
		if (torture_append(records, t.at / 8 + 1))
			torture_failed("no commit over a phantom");
		help_io_kill();
		for (unsigned slot = 1; slot <= 2; slot++) {
			uint8_t *byte = byte_at(file_of(JT_JOURNAL_NAME),
						slot * JT_PAGE_BYTES + 9);

			*byte ^= 1;
			T_COUNT(damages);
			if (torture_look(&next, 1, false).rc)
				torture_failed("refused with one good slot");
			T_COUNT(recovered);
			*byte ^= 1;
		}
	}
	disk_copy(&help_disk, &sound);
}

void torture_damages(void)
{
	make_journals();
	flip_bits();
	set_bytes();
	truncate_everywhere();
	move_records();
	rewind_slots();
	put_older_back();
	splice(foreign, "a record of another journal");
	splice(forked, "a record of another history");
	litter();
	phantoms();
}

/* ---- the snapshot ---- */

/* Taken and told as before, or passed over; the journal is as it was. */
static void ignored_or_same(void)
{
	if (torture_look_snapshot(&last))
		T_COUNT(recovered);
	else
		T_COUNT(ignored);
}

static void flip_snapshot(uint64_t bytes)
{
	struct disk_file *f = file_of("snapshot");

	t.step = "flip of a bit of the snapshot";
	for (t.at = 0; t.at < bytes * 8; t.at++) {
		if (!torture_mine(t.at))
			continue;
		*byte_at(f, t.at / 8) ^= (uint8_t)(1u << t.at % 8);
		ignored_or_same();
		T_COUNT(flips);
		*byte_at(f, t.at / 8) ^= (uint8_t)(1u << t.at % 8);
	}
}

static void cut_snapshot(uint64_t bytes)
{
	static struct disk with;
	int file = disk_find(&help_disk, "snapshot");

	t.step = "cut of the snapshot";
	disk_copy(&with, &help_disk);
	for (t.at = 0; t.at < bytes; t.at++) {
		if (!torture_mine(t.at))
			continue;
		disk_copy(&help_disk, &with);
		disk_resize(&help_disk, file, t.at);
		T_COUNT(truncations);
		if (torture_look_snapshot(&last))
			torture_failed("a cut snapshot is taken");
		T_COUNT(ignored);
	}
	disk_copy(&help_disk, &with);
}

/* At every batch, with the others behind it: what the whole replay comes to. */
static void snapshot_everywhere(void)
{
	t.step = "snapshot and tail";
	torture_begin(&last);
	for (t.at = 0; t.at < 40; t.at++) {
		torture_tell(&last, 1);
		if (t.at % t.hands != t.hand)
			continue;
		help_io_kill(); /* and free what was renamed over */
		if (torture_snapshot())
			torture_failed("no snapshot");
		for (unsigned more = 0; more < 8; more++) {
			T_COUNT(images);
			if (!torture_look_snapshot(&last))
				torture_failed("a sound snapshot is refused");
			if (torture_look(&last, 1, false).rc)
				torture_failed("refused");
			torture_tell(&last, 1);
		}
	}
}

void torture_snapshots(void)
{
	uint64_t bytes;

	make_journals();
	if (torture_snapshot())
		torture_failed("no snapshot");
	bytes = file_of("snapshot")->size;
	flip_snapshot(bytes);
	cut_snapshot(bytes);
	snapshot_everywhere();
}
