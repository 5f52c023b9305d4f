/* suggest.h - what an unknown key may have been meant to be. */
#ifndef CONNSPREAD_CONFIG_SUGGEST_H
#define CONNSPREAD_CONFIG_SUGGEST_H

#include "config/compile.h"

struct key;

enum { SUGGESTION = 160 };

/* keys[] and names[]: the keys of each kind of section and what it is called; here: the kind in which name stands.
 * Writes what would be right: a key that looks like it, the section that has it, or the keys that there are. */
void suggest(const struct key *const keys[], const char *const names[], int kinds, int here, const char *name,
             char out[SUGGESTION]);

#endif
