/* jeton journal dump: every committed record as JSON, verified on the way. */
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/record_json.h"

#include <stdlib.h>

#define BATCH 1024u

/* STATE: from before the file's base, under a tag of its own. */
static void put(const struct jt_record *r, bool state)
{
	json_t *o = jt_record_json(r);

	if (state)
		json_object_set_new(o, "state", json_true());
	jt_put_json(stdout, o);
}

int jt_cmd_journal_dump(const struct jt_cmd *cmd)
{
	struct jt_record *records = calloc(BATCH, sizeof(*records));
	struct jt_fault fault = {0};
	struct jt_reader reader;
	struct jt_journal j;
	size_t n = 0;
	int e;

	if (!records)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);
	if (e)
		goto out;
	jt_reader_init(&reader, &j);
	do {
		bool state = jt_reader_in_state(&reader);

		e = jt_reader_next(&reader, records, BATCH, &n, &fault);
		for (size_t i = 0; e == 0 && i < n; i++)
			put(&records[i], state);
	} while (e == 0 && n && !ferror(stdout));
	jt_journal_close(&j);
out:
	free(records);
	return e ? jt_journal_refusal(e, &fault) : 0;
}
