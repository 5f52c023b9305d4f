/* override.h - the mode and the canary in force, in words. */
#ifndef CONNSPREAD_TOOL_COMMON_OVERRIDE_H
#define CONNSPREAD_TOOL_COMMON_OVERRIDE_H

#include "state/state.h"

enum { DIAL_TEXT = 80 };

/* enum policy_mode by its name; -1: there is none such. And back; "unknown" beyond the enum. */
int dial_mode(const char *name);
const char *dial_mode_name(unsigned mode);

/* "mode observe (set), canary 25 % (config)". settings NULL: no policy was published yet, its values are not known. */
void dial_text(char out[DIAL_TEXT], struct control c, const struct settings *settings);

/* Prints how many processes follow. */
void dial_followers(unsigned n);

#endif
