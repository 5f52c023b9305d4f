/* sentence.h - sentences with blanks. */
#ifndef CONNSPREAD_TOOL_COMMON_SENTENCE_H
#define CONNSPREAD_TOOL_COMMON_SENTENCE_H

#include <stddef.h>

#include "tool/common/strbuf.h"

/* A sentence with blanks into out: $s text that may be hostile, $n a uint64_t as 28,232, $d a double (a rate), $t a
 * uint64_t as 2026-11-21 03:27:59 UTC. */
void words_fill(struct strbuf *s, const char *sentence, ...);

/* The same as a text of its own, cut to size. */
void words_text(char *out, size_t size, const char *sentence, ...);

#endif
