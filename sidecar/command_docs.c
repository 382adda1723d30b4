/*
 * command_docs: COMMAND and its subcommands: our table in the shapes that
 * redis-server 7.0 gives them, which clients and redis-cli's hints read.
 *
 * Replies nest, this code does not: a RESP collection is only its header
 * followed by its elements, so a block of arguments is written as a header and
 * its parts come next in the table anyway.
 */
#include "sidecar/command_table.h"

#define SINCE "0.1.0"

static size_t n_commands(void)
{
	size_t n = 0;

	for (size_t i = 0; i < jt_command_table_n; i++)
		n += !jt_command_table[i].sub;
	return n;
}

static void put_flags(struct jt_out *out, unsigned flags)
{
	jt_out_set(out, (size_t)__builtin_popcount(flags));
#define X(name, word, category)                                                \
	if (flags & JT_FLAG_##name)                                            \
		jt_out_simple(out, word);
	JT_COMMAND_FLAGS(X)
#undef X
}

/* ACL categories: no rules hang on them, they tell clients what it is. */
static void put_categories(struct jt_out *out, const struct jt_command *c)
{
	const char *words[8];
	size_t n = 0;

#define X(name, word, category)                                                \
	if ((c->flags & JT_FLAG_##name) && category)                           \
		words[n++] = category;
	JT_COMMAND_FLAGS(X)
#undef X
	if (!(c->flags & JT_FLAG_FAST))
		words[n++] = "@slow";
	jt_out_set(out, n);
	for (size_t i = 0; i < n; i++)
		jt_out_simple(out, words[i]);
}

/* Its 10 elements, of which the last is the header of its subcommands. */
static void put_info(struct jt_out *out, const struct jt_command *c)
{
	jt_out_array(out, 10);
	jt_out_text(out, c->name);
	jt_out_integer(out, c->arity);
	put_flags(out, c->flags);
	jt_out_integer(out, 0); /* no keys: first, last, step */
	jt_out_integer(out, 0);
	jt_out_integer(out, 0);
	put_categories(out, c);
	jt_out_set(out, 0); /* tips */
	jt_out_set(out, 0); /* key specifications */
	jt_out_array(out, jt_command_n_subs(c));
}

static void put_info_tree(struct jt_out *out, const struct jt_command *c)
{
	size_t n = jt_command_n_subs(c);

	for (size_t i = 0; i <= n; i++)
		put_info(out, &c[i]);
}

const char *jt_run_command(const struct jt_call *call)
{
	jt_out_array(call->out, n_commands());
	for (size_t i = 0; i < jt_command_table_n; i++)
		put_info(call->out, &jt_command_table[i]);
	return NULL;
}

const char *jt_run_command_count(const struct jt_call *call)
{
	jt_out_integer(call->out, (int64_t)n_commands());
	return NULL;
}

const char *jt_run_command_list(const struct jt_call *call)
{
	jt_out_array(call->out, jt_command_table_n);
	for (size_t i = 0; i < jt_command_table_n; i++)
		jt_out_text(call->out, jt_command_table[i].name);
	return NULL;
}

/* Without repetitions every command comes twice at most: alone, in its tree. */
static bool is_bounded(const struct jt_call *call)
{
	size_t n = 0;

	for (size_t i = 2; i < call->n_args; i++) {
		const struct jt_command *c = jt_command_find(call->args[i]);

		n += c ? 1 + jt_command_n_subs(c) : 0;
	}
	return n <= 2 * jt_command_table_n;
}

const char *jt_run_command_info(const struct jt_call *call)
{
	if (call->n_args == 2)
		return jt_run_command(call);
	if (!is_bounded(call))
		return "ERR a command is named too often";
	jt_out_array(call->out, call->n_args - 2);
	for (size_t i = 2; i < call->n_args; i++) {
		const struct jt_command *c = jt_command_find(call->args[i]);

		if (c)
			put_info_tree(call->out, c);
		else
			jt_out_null(call->out);
	}
	return NULL;
}

static void put_pair(struct jt_out *out, const char *name, const char *text)
{
	jt_out_text(out, name);
	jt_out_text(out, text);
}

static void put_arg_flags(struct jt_out *out, unsigned flags)
{
	jt_out_text(out, "flags");
	jt_out_set(out, (size_t)__builtin_popcount(flags));
	if (flags & JT_ARG_OPTIONAL)
		jt_out_simple(out, "optional");
	if (flags & JT_ARG_MULTIPLE)
		jt_out_simple(out, "multiple");
	if (flags & JT_ARG_MULTIPLE_TOKEN)
		jt_out_simple(out, "multiple_token");
}

static void put_arg(struct jt_out *out, const struct jt_command_arg *arg)
{
	jt_out_map(out,
		   (size_t)2 + !!arg->token + !!arg->flags + !!arg->n_parts);
	put_pair(out, "name", arg->name);
	put_pair(out, "type", arg->type);
	if (arg->token)
		put_pair(out, "token", arg->token);
	if (arg->flags)
		put_arg_flags(out, arg->flags);
	if (arg->n_parts) {
		jt_out_text(out, "arguments");
		jt_out_array(out, arg->n_parts);
	}
}

static void put_args(struct jt_out *out, const struct jt_command *c)
{
	size_t n = c->n_args;

	for (size_t i = 0; i < c->n_args; i++)
		n -= c->args[i].n_parts;
	jt_out_text(out, "arguments");
	jt_out_array(out, n);
	for (size_t i = 0; i < c->n_args; i++)
		put_arg(out, &c->args[i]);
}

/* Ends, for a container, with the header of the map of its subcommands. */
static void put_docs(struct jt_out *out, const struct jt_command *c)
{
	size_t n_subs = jt_command_n_subs(c);

	jt_out_text(out, c->name);
	jt_out_map(out, (size_t)4 + !!c->n_args + !!n_subs);
	put_pair(out, "summary", c->summary);
	put_pair(out, "since", SINCE);
	put_pair(out, "group", c->group);
	put_pair(out, "complexity", c->complexity);
	if (c->n_args)
		put_args(out, c);
	if (n_subs) {
		jt_out_text(out, "subcommands");
		jt_out_map(out, n_subs);
	}
}

static void put_docs_tree(struct jt_out *out, const struct jt_command *c)
{
	size_t n = jt_command_n_subs(c);

	for (size_t i = 0; i <= n; i++)
		put_docs(out, &c[i]);
}

/* Was this argument, a command's name, given before? */
static bool is_repeat(const struct jt_call *call, size_t i)
{
	const struct jt_command *c = jt_command_find(call->args[i]);

	for (size_t j = 2; j < i; j++)
		if (jt_command_find(call->args[j]) == c)
			return true;
	return false;
}

const char *jt_run_command_docs(const struct jt_call *call)
{
	const struct jt_command *found[JT_RESP_ARGS_MAX];
	size_t n = 0;

	for (size_t i = 2; i < call->n_args; i++) {
		const struct jt_command *c = jt_command_find(call->args[i]);

		if (c && !is_repeat(call, i) && n < JT_RESP_ARGS_MAX)
			found[n++] = c;
	}
	if (call->n_args > 2) {
		jt_out_map(call->out, n);
		for (size_t i = 0; i < n; i++)
			put_docs_tree(call->out, found[i]);
		return NULL;
	}
	jt_out_map(call->out, n_commands());
	for (size_t i = 0; i < jt_command_table_n; i++)
		put_docs(call->out, &jt_command_table[i]);
	return NULL;
}
