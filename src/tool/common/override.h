/* override.h - the mode and the canary in force, in words. */
#ifndef CONNSPREAD_TOOL_COMMON_OVERRIDE_H
#define CONNSPREAD_TOOL_COMMON_OVERRIDE_H

#include "state/state.h"

enum { OVERRIDE_TEXT = 80 };

/* enum policy_mode by its name; -1: there is none such. And back; "unknown" beyond the enum. */
int override_mode(const char *name);
const char *override_mode_name(unsigned mode);

/* "mode observe (set), canary 25 % (config)". settings NULL: no policy was published yet, its values are not known. */
void override_text(char out[OVERRIDE_TEXT], struct control c, const struct settings *settings);

/* Prints how many processes follow. */
void override_followers(unsigned n);

#endif
