/*
 * command: see command.h. Here: which command it is, whether its count of
 * arguments is right, and the commands that need no more than a line.
 *
 * A handler replies, or returns an error text; jt_command_run() alone writes
 * errors. All texts are constants but two, made here: the name of a command of
 * ours, and an unknown name that is short and of letters only. A token has 64
 * characters and two underscores, so it is never one.
 */
#include "sidecar/command_table.h"

#include <stdio.h>
#include <string.h>

#define UNKNOWN_MAX 20 /* letters of an unknown name that we repeat */

/* What was asked for: a command to run, or what is wrong. */
struct found {
	const struct jt_command *command;
	enum {
		FOUND,
		UNKNOWN,
		UNKNOWN_SUB,
		MISCOUNTED
	} what;
};

static bool count_ok(int arity, size_t n_args)
{
	return arity < 0 ? n_args >= (size_t)-arity : n_args == (size_t)arity;
}

static struct found find(const struct jt_bytes *args, size_t n_args)
{
	const struct jt_command *c = jt_command_find(args[0]), *sub;

	if (!c || c->sub)
		return (struct found){NULL, UNKNOWN};
	if (!count_ok(c->arity, n_args))
		return (struct found){c, MISCOUNTED};
	if (n_args == 1 || !jt_command_n_subs(c))
		return (struct found){c, FOUND};
	sub = jt_command_find_sub(c, args[1]);
	if (!sub)
		return (struct found){c, UNKNOWN_SUB};
	return (struct found){sub, count_ok(sub->arity, n_args) ? FOUND
								: MISCOUNTED};
}

static bool is_verify(struct jt_bytes name)
{
	uint32_t head, verb;
	uint16_t tail, end;

	if (name.bytes != 6)
		return false;
	memcpy(&head, name.at, 4);
	memcpy(&tail, name.at + 4, 2);
	memcpy(&verb, "veri", 4);
	memcpy(&end, "fy", 2);
	/* letters only: nothing but their capitals becomes them by this bit */
	return (head | 0x20202020u) == verb && (tail | 0x2020u) == end;
}

enum jt_command_class jt_command_classify(const struct jt_bytes *args,
					  size_t n_args)
{
	struct found f;

	if (n_args == 0)
		return JT_COMMAND_SKIP;
	if (is_verify(args[0]))
		return n_args > 1 ? JT_COMMAND_VERIFY : JT_COMMAND_ERROR;
	f = find(args, n_args);
	if (f.what != FOUND)
		return JT_COMMAND_ERROR;
	return f.command->run ? JT_COMMAND_LOCAL : JT_COMMAND_MVERIFY;
}

static bool may_repeat(struct jt_bytes name)
{
	if (name.bytes > UNKNOWN_MAX)
		return false;
	for (uint32_t i = 0; i < name.bytes; i++) {
		uint8_t c = name.at[i] | 0x20;

		if (c < 'a' || c > 'z')
			return false;
	}
	return true;
}

/* A proxy that was pointed at the wrong socket; its body is no commands. */
static bool is_http(const struct jt_bytes *args, size_t n_args)
{
	return n_args == 3 && args[2].bytes == 8 &&
	       memcmp(args[2].at, "HTTP/1.", 7) == 0;
}

bool jt_command_ends(const struct jt_bytes *args, size_t n_args)
{
	return is_http(args, n_args) || jt_command_is(args[0], "quit");
}

static void reply_unknown(struct jt_client *client, const struct jt_bytes *args,
			  size_t n_args, struct jt_out *out)
{
	struct jt_bytes name = args[0];
	char text[64];

	if (is_http(args, n_args)) {
		client->quit = true;
		jt_out_error(out, "ERR this socket speaks RESP, not HTTP");
		return;
	}
	if (!may_repeat(name))
		name = (struct jt_bytes){(const uint8_t *)"...", 3};
	snprintf(text, sizeof(text), "ERR unknown command '%.*s'",
		 (int)name.bytes, (const char *)name.at);
	jt_out_error(out, text);
}

static void reply_unknown_sub(const struct jt_command *c, struct jt_out *out)
{
	char text[80], name[16];
	size_t n = strnlen(c->name, sizeof(name) - 1);

	for (size_t i = 0; i < n; i++)
		name[i] = (char)(c->name[i] & ~0x20);
	name[n] = '\0';
	snprintf(text, sizeof(text),
		 "ERR unknown subcommand '...'. Try %s HELP.", name);
	jt_out_error(out, text);
}

static void reply_miscounted(const struct jt_command *c, struct jt_out *out)
{
	char text[80];

	snprintf(text, sizeof(text),
		 "ERR wrong number of arguments for '%s' command", c->name);
	jt_out_error(out, text);
}

static bool run(const struct jt_command *command, const struct jt_call *call)
{
	const char *error =
		command->run ? command->run(call) : "ERR not to be run here";

	if (error)
		jt_out_error(call->out, error);
	return error != NULL;
}

bool jt_command_run(struct jt_client *client, const struct jt_service *service,
		    const struct jt_bytes *args, size_t n_args,
		    struct jt_out *out)
{
	struct jt_call call = {client, service, args, n_args, out};
	struct found f = find(args, n_args);

	out->proto = client->proto;
	switch (f.what) {
	case FOUND:
		return run(f.command, &call);
	case UNKNOWN:
		reply_unknown(client, args, n_args, out);
		return true;
	case UNKNOWN_SUB:
		reply_unknown_sub(f.command, out);
		return true;
	case MISCOUNTED:
		reply_miscounted(f.command, out);
		return true;
	}
	return true;
}

const char *jt_run_ping(const struct jt_call *call)
{
	if (call->n_args > 2)
		return "ERR wrong number of arguments for 'ping' command";
	if (call->n_args == 2)
		jt_out_bulk(call->out, call->args[1].at, call->args[1].bytes);
	else
		jt_out_simple(call->out, "PONG");
	return NULL;
}

const char *jt_run_echo(const struct jt_call *call)
{
	jt_out_bulk(call->out, call->args[1].at, call->args[1].bytes);
	return NULL;
}

const char *jt_run_quit(const struct jt_call *call)
{
	call->client->quit = true;
	jt_out_simple(call->out, "OK");
	return NULL;
}

const char *jt_run_select(const struct jt_call *call)
{
	int64_t index;

	if (!jt_resp_integer(call->args[1], &index))
		return "ERR value is not an integer or out of range";
	if (index != 0)
		return "ERR DB index is out of range";
	jt_out_simple(call->out, "OK");
	return NULL;
}
