/* grammar.h - libconfuse: which keys there are, and where in the file each value stands.
 *
 * libconfuse stops at the first unknown key. To show all mistakes at once, the key is then added to the grammar as one
 * that is reported wherever it stands, and the text is parsed again. Every value is taken as it is, with its line, and
 * judged only after the parse, so that a wrong one stops nothing. CFGF_IGNORE_UNKNOWN is no help: it drops unknown keys
 * silently, and recurses without bound. */
#ifndef CONNSPREAD_CONFIG_GRAMMAR_H
#define CONNSPREAD_CONFIG_GRAMMAR_H

#include "config/reading.h"

/* grammar.c: libconfuse over r->source->text; calls the tables above. */
void config_grammar(struct reading *r);

#endif
