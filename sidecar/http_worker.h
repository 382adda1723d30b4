/*
 * http_worker: a process at the HTTP door.
 *
 * Like a worker it parses what strangers send, maps identity read-only and
 * meters writable, and opens no file; unlike one it lets libmicrohttpd do the
 * connections. Forked by the keeper; runs until told to stop.
 */
#ifndef JT_SIDECAR_HTTP_WORKER_H
#define JT_SIDECAR_HTTP_WORKER_H

#include "sidecar/worker.h"

/* Exit statuses as jt_worker_run()'s. */
int jt_http_run(const struct jt_worker_args *args);

#endif
