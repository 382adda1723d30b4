/*
 * settings_file: the configuration file, from text to settings and back.
 *
 *   [jetond]          the daemon's own settings; what they mean: config.h
 *   [policy NAME]     of the HTTP door         } settings.h; their keys:
 *   [peer NAME]       callers' rules, in order } settings_keys.h
 *
 * `key = value` a line, INI as libinih reads it. A comment begins its line with
 * `#` or `;`; nothing after a value is one. A list goes on on lines that begin
 * with a blank. Whatever is not understood is an error: its line, what is wrong
 * and what to do, never a word of what stands there, which may be a token
 * pasted in the wrong window.
 *
 * Keeper alone, at start and at SIGHUP.
 */
#ifndef JT_SIDECAR_SETTINGS_FILE_H
#define JT_SIDECAR_SETTINGS_FILE_H

#include "admin/journal.h"
#include "sidecar/settings_keys.h"

/* Shorter than what any build of libinih takes. */
#define JT_SETTINGS_LINE_MAX 190u
#define JT_SETTINGS_FILE_MAX 262144u

enum {
	/* faultp->line says why, faultp->number is the line, 0: the file */
	JT_SETTINGS_FILE_E_BAD = 1,
};

struct jt_settings_file {
	struct jt_settings settings;
	/* where each key stands; 0: not in the file */
	uint32_t policy_lines[JT_POLICIES_MAX][JT_POLICY_KEYS];
	uint32_t rule_lines[JT_RULES_MAX][JT_RULE_KEYS];
};

/*
 * Of each key of [jetond], each once. 0; positive: the line is bad and faultp
 * says so. VALUE is gone afterwards.
 */
typedef int jt_settings_take(void *ctx, const char *key, const char *value,
			     unsigned line, struct jt_fault *faultp);

/* What holds without a file. */
void jt_settings_file_none(struct jt_settings_file *file);

/* 0 or JT_SETTINGS_FILE_E_BAD, with *FILE undefined then. */
int jt_settings_file_parse(struct jt_settings_file *file, const char *text,
			   size_t bytes, jt_settings_take *take, void *ctx,
			   struct jt_fault *faultp);

/* Read PATH, a regular file. -ENOENT: there is none. */
int jt_settings_file_read(struct jt_settings_file *file, const char *path,
			  jt_settings_take *take, void *ctx,
			  struct jt_fault *faultp);

/* Policies and peers, with where each value came from; PATH for that. */
void jt_settings_file_print(const struct jt_settings_file *file,
			    const char *path, FILE *out);

#endif
