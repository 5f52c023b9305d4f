/* load.h - the parts of config_load, for tests and fuzzing. */
#ifndef CONNSPREAD_CONFIG_LOAD_H
#define CONNSPREAD_CONFIG_LOAD_H

#include <stddef.h>
#include <stdbool.h>

#include "policy/policy.h"

struct policy;
struct policy_origin;

/* As config_load, on length bytes of text; name stands for the file in messages. Leaves out->origin and out->path
 * empty. */
int config_parse(const char *name, const char *text, size_t length, struct policy *out, char *errors, size_t size);

/* Reads and validates path into *out. On error returns the number of mistakes found and writes one line for each into
 * errors ("FILE:LINE: KEY: VALUE is not ...: what would be right\n"), cut at size; *out is then undefined. Returns 0
 * when all is well; errors then has notes, lines of the same form about what may not be meant. Allocates and does
 * stdio: never from a wrapper. */
int config_load(const char *path, struct policy *out, char *errors, size_t size);

/* What config_load would put into out->origin, without reading the file's content. False with errno set on failure. */
bool config_origin(const char *path, struct policy_origin *out);

#endif
