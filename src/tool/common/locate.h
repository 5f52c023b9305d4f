/* locate.h - which config, which instance, which state file: the same answer for every command. */
#ifndef CONNSPREAD_TOOL_COMMON_LOCATE_H
#define CONNSPREAD_TOOL_COMMON_LOCATE_H

#include <stdbool.h>
#include <stddef.h>

#include "state/state.h"

enum { LOCATE_PATH = 4096, LOCATE_ERROR = 4352 };

struct location {
    char config[LOCATE_PATH]; /* absolute; empty: the built-in default */
    char instance[STATE_INSTANCE];
    char state_file[STATE_PATH];
    char folder[STATE_PATH]; /* of the state file */
};

/* config: -c, or NULL: CONNSPREAD_CONF, else DEFAULT_CONF if it is there, else the built-in default.
 * instance: -i, or NULL: CONNSPREAD_INSTANCE, else the config file's name without suffix, else "default".
 * The files themselves are not opened. False: error says what would be right. */
bool locate(struct location *out, const char *config, const char *instance, char error[LOCATE_ERROR]);

/* Why a state file cannot be used, in words that follow "PATH: ". error: what state_map and state_create left. */
const char *state_error_text(enum state_error why, int error);

#endif
