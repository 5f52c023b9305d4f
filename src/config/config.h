/* config.h - from a libconfuse file to a flat policy. Linked into the tool; loaded as a module by a plainly preloaded
 * client. */
#ifndef CONNSPREAD_CONFIG_CONFIG_H
#define CONNSPREAD_CONFIG_CONFIG_H

#include <stddef.h>

#include "policy/policy.h"

/* Reads and validates path into *out. On error returns the number of mistakes found and writes one line for each into
 * errors ("FILE:LINE: KEY: VALUE is not ...: what would be right\n"), cut at size; *out is then undefined. Returns 0
 * when all is well. Allocates and does stdio: never from a wrapper. */
int config_load(const char *path, struct policy *out, char *errors, size_t size);

/* What config_load would put into out->origin, without reading the file's content. False with errno set on failure. */
bool config_origin(const char *path, struct policy_origin *out);

#endif
