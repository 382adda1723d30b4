/*
 * command_client: the connection's own state. HELLO, AUTH, RESET, CLIENT.
 *
 * Whoever can connect is let in (the socket's permissions decide), so AUTH and
 * HELLO's AUTH answer as Redis does when no password is configured: the user
 * `default` may come in with any, no other user exists.
 */
#include "sidecar/command_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BAD_PASSWORD                                                           \
	"WRONGPASS invalid username-password pair or user is disabled."
#define BAD_OPTION "ERR Syntax error in HELLO option '...'"
#define BAD_NAME                                                               \
	"ERR Client names cannot contain spaces, newlines or special "         \
	"characters."
#define LONG_NAME "ERR a name of more than 63 characters"

void jt_client_init(struct jt_client *client, uint64_t id, uint64_t now_ns)
{
	*client = (struct jt_client){
		.id = id,
		.connected_ns = now_ns,
		.proto = 2,
	};
}

size_t jt_client_line(const struct jt_client *client, const char *command,
		      uint64_t now_ns, char *buf, size_t max)
{
	uint64_t age_ns = now_ns - client->connected_ns;
	int n;

	if (now_ns < client->connected_ns)
		age_ns = 0;
	n = snprintf(buf, max,
		     "id=%" PRIu64 " addr=unix:0 name=%s age=%" PRIu64
		     " flags=U db=0 sub=0 psub=0 multi=-1 cmd=%s user=default"
		     " lib-name=%s lib-ver=%s resp=%d\n",
		     client->id, client->name, age_ns / 1000000000u, command,
		     client->lib_name, client->lib_ver, client->proto);
	return n < 0 || (size_t)n >= max ? 0 : (size_t)n;
}

static const char *name_error(struct jt_bytes name)
{
	for (uint32_t i = 0; i < name.bytes; i++)
		if (name.at[i] < '!' || name.at[i] > '~')
			return BAD_NAME;
	return name.bytes < JT_CLIENT_NAME_BYTES ? NULL : LONG_NAME;
}

static void set_name(char *to, struct jt_bytes name)
{
	memcpy(to, name.at, name.bytes);
	to[name.bytes] = '\0';
}

static bool user_ok(struct jt_bytes user)
{
	static const char only[] = "default";

	return user.bytes == sizeof(only) - 1 &&
	       memcmp(user.at, only, user.bytes) == 0;
}

/* The options behind the protocol version; *NAMEP is left alone without. */
static const char *hello_options(const struct jt_call *call,
				 const struct jt_bytes **namep)
{
	const struct jt_bytes *args = call->args;

	for (size_t i = 2; i < call->n_args;) {
		size_t left = call->n_args - i - 1;

		if (jt_command_is(args[i], "auth") && left >= 2) {
			if (!user_ok(args[i + 1]))
				return BAD_PASSWORD;
			i += 3;
		} else if (jt_command_is(args[i], "setname") && left >= 1) {
			if (name_error(args[i + 1]))
				return name_error(args[i + 1]);
			*namep = &args[i + 1];
			i += 2;
		} else {
			return BAD_OPTION;
		}
	}
	return NULL;
}

static void reply_hello(const struct jt_call *call)
{
	struct jt_out *out = call->out;

	jt_out_map(out, 7);
	jt_out_text(out, "server");
	jt_out_text(out, "jeton");
	jt_out_text(out, "version");
	jt_out_text(out, JT_VERSION);
	jt_out_text(out, "proto");
	jt_out_integer(out, call->client->proto);
	jt_out_text(out, "id");
	jt_out_integer(out, (int64_t)call->client->id);
	jt_out_text(out, "mode");
	jt_out_text(out, "standalone");
	jt_out_text(out, "role");
	jt_out_text(out, "master");
	jt_out_text(out, "modules");
	jt_out_array(out, 0);
}

const char *jt_run_hello(const struct jt_call *call)
{
	const struct jt_bytes *name = NULL;
	int64_t proto = call->client->proto;
	const char *error;

	if (call->n_args > 1 && !jt_resp_integer(call->args[1], &proto))
		return "ERR Protocol version is not an integer or out of range";
	if (proto != 2 && proto != 3)
		return "NOPROTO unsupported protocol version";
	error = hello_options(call, &name);
	if (error)
		return error;
	if (name)
		set_name(call->client->name, *name);
	call->out->proto = call->client->proto = (int)proto;
	reply_hello(call);
	return NULL;
}

const char *jt_run_auth(const struct jt_call *call)
{
	if (call->n_args == 2)
		return "ERR AUTH <password> called without any password "
		       "configured for the default user. Are you sure your "
		       "configuration is correct?";
	if (call->n_args > 3)
		return "ERR syntax error";
	if (!user_ok(call->args[1]))
		return BAD_PASSWORD;
	jt_out_simple(call->out, "OK");
	return NULL;
}

const char *jt_run_reset(const struct jt_call *call)
{
	call->client->name[0] = '\0';
	call->out->proto = call->client->proto = 2;
	jt_out_simple(call->out, "RESET");
	return NULL;
}

const char *jt_run_client_id(const struct jt_call *call)
{
	jt_out_integer(call->out, (int64_t)call->client->id);
	return NULL;
}

const char *jt_run_client_getname(const struct jt_call *call)
{
	if (call->client->name[0])
		jt_out_text(call->out, call->client->name);
	else
		jt_out_null(call->out);
	return NULL;
}

const char *jt_run_client_setname(const struct jt_call *call)
{
	const char *error = name_error(call->args[2]);

	if (error)
		return error;
	set_name(call->client->name, call->args[2]);
	jt_out_simple(call->out, "OK");
	return NULL;
}

const char *jt_run_client_setinfo(const struct jt_call *call)
{
	const char *error = name_error(call->args[3]);
	char *to;

	if (jt_command_is(call->args[2], "lib-name"))
		to = call->client->lib_name;
	else if (jt_command_is(call->args[2], "lib-ver"))
		to = call->client->lib_ver;
	else
		return "ERR Unrecognized option '...'";
	if (error)
		return error;
	set_name(to, call->args[3]);
	jt_out_simple(call->out, "OK");
	return NULL;
}

const char *jt_run_client_info(const struct jt_call *call)
{
	char line[JT_CLIENT_LINE_MAX];
	size_t n = jt_client_line(call->client, "client|info",
				  call->service->now_ns, line, sizeof(line));

	jt_out_verbatim(call->out, line, n);
	return NULL;
}

const char *jt_run_client_list(const struct jt_call *call)
{
	char lines[JT_CLIENT_LIST_MAX];
	const struct jt_service *service = call->service;
	size_t n = service->clients(service->ctx, lines, sizeof(lines));

	jt_out_verbatim(call->out, lines, n);
	return NULL;
}

const char *jt_run_client_switch(const struct jt_call *call)
{
	struct jt_bytes to = call->args[2];

	if (!jt_command_is(to, "on") && !jt_command_is(to, "off"))
		return "ERR syntax error";
	jt_out_simple(call->out, "OK");
	return NULL;
}
