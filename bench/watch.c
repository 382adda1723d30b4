/* watch: see watch.h. */
#include "bench/watch.h"

#include <stdio.h>

void jt_watch_begin(struct jt_watch *w, const struct jt_process *server)
{
	jt_machine_times(w->machine, &w->times);
	w->own_ns = jt_machine_own_cpu_ns();
	w->server_ns = jt_process_cpu_ns(server);
	w->from_ns = jt_machine_now_ns();
}

void jt_watch_shares(const struct jt_watch_had *had, double *stolenp,
		     double *foreignp)
{
	double wall_ns = (double)had->wall_ns + 1;

	*stolenp = (double)had->stolen_ns / wall_ns;
	*foreignp = had->cores -
		    (double)(had->idle_ns + had->stolen_ns + had->known_ns) /
			    wall_ns;
}

struct jt_had jt_watch_end(struct jt_watch *w, const struct jt_process *server,
			   uint64_t other_ns)
{
	const struct jt_machine *m = w->machine;
	struct jt_machine_times now;
	struct jt_watch_had had = {
		.wall_ns = jt_machine_now_ns() - w->from_ns,
		.known_ns = jt_machine_own_cpu_ns() - w->own_ns +
			    jt_process_cpu_ns(server) - w->server_ns + other_ns,
		.cores = m->server_cpu == m->client_cpu ? 1 : 2,
	};
	double stolen, foreign;
	struct jt_had out;

	jt_machine_times(m, &now);
	had.idle_ns = now.idle_ns - w->times.idle_ns;
	had.stolen_ns = now.stolen_ns - w->times.stolen_ns;
	jt_watch_shares(&had, &stolen, &foreign);
	out = jt_had_of(stolen, foreign, JT_KEEP_FOREIGN_MAX);
	w->n_slices++;
	if (w->keep_all)
		out.excess = 0;
	if (stolen > JT_KEEP_STOLEN_MAX)
		w->n_stolen++;
	else if (foreign > JT_KEEP_FOREIGN_MAX)
		w->n_foreign++;
	return out;
}

void jt_watch_words(const struct jt_watch *w, char out[96])
{
	snprintf(
		out, 96,
		"%u of %u slices not clean (%u stolen from, %u with strangers)",
		w->n_stolen + w->n_foreign, w->n_slices, w->n_stolen,
		w->n_foreign);
}
