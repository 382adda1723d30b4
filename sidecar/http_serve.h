/*
 * http_serve: one request at the HTTP door answered, once all of it is there
 * that will be looked at.
 */
#ifndef JT_SIDECAR_HTTP_SERVE_H
#define JT_SIDECAR_HTTP_SERVE_H

#include "sidecar/http_door.h"
#include <microhttpd.h>

/* How long a body may be; 0: that route does not look at any. */
size_t jt_http_body_max(enum jt_http_route route);

/* Queue the answer to CONN's request; MHD_NO: the connection is to end. */
enum MHD_Result jt_http_serve(struct jt_http_door *door,
			      struct jt_http_conn *conn,
			      struct MHD_Connection *to);

#endif
