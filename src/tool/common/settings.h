/* settings.h - the config that a command works with. */
#ifndef CONNSPREAD_TOOL_COMMON_SETTINGS_H
#define CONNSPREAD_TOOL_COMMON_SETTINGS_H

#include "tool/common/locate.h"

/* The policy of where->config, or the built-in default. False: every mistake in it has been printed on stderr. */
bool settings_load(const struct location *where, struct policy *out);

/* Likewise; *notes, to be freed, has what is no mistake and yet may not be meant, one line each. */
bool settings_load_noted(const struct location *where, struct policy *out, char **notes);

#endif
