/* load.h - the parts of config_load, for tests and fuzzing. */
#ifndef CONNSPREAD_CONFIG_LOAD_H
#define CONNSPREAD_CONFIG_LOAD_H

#include "config/config.h"

/* As config_load, on length bytes of text; name stands for the file in messages. Leaves out->origin and out->path
 * empty. */
int config_parse(const char *name, const char *text, size_t length, struct policy *out, char *errors, size_t size);

#endif
