/* words.h - A finding in words, for people who were asleep at the time. */
#ifndef CONNSPREAD_TOOL_REPORT_WORDS_H
#define CONNSPREAD_TOOL_REPORT_WORDS_H

#include "tool/report/model.h"
#include "tool/common/strbuf.h"

struct strbuf;

/* A sentence with blanks into out: $s text that may be hostile, $n a uint64_t as 28,232, $d a double (a rate), $t a
 * uint64_t as 2026-11-21 03:27:59 UTC. */
void words_fill(struct strbuf *s, const char *sentence, ...);

void words_summary(char out[REPORT_WORDS], const struct finding *f);

bool words_because(char out[REPORT_WORDS], const struct finding *f, unsigned n);

#endif
