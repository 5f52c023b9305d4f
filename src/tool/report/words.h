/* words.h - a finding in plain words, cut to REPORT_WORDS, for people who were asleep at the time. */
#ifndef CONNSPREAD_TOOL_REPORT_WORDS_H
#define CONNSPREAD_TOOL_REPORT_WORDS_H

#include "tool/report/model.h"

/* That nothing failed, as far as it is known. */
const char *words_none(const struct report *r);

/* How much failed, and what was read. */
void words_head(char out[REPORT_WORDS], const struct report *r);

/* One sentence: what failed or was slow, of which program, towards which destination, and why. */
void words_verdict(char out[REPORT_WORDS], const struct finding *f);

/* Where the connections of a flow lead; for those that were accepted, the local port. */
void words_flow(char out[ENDPOINT_TEXT], const struct flow *f);

/* What happened, and one reason for what is said of it, with its numbers; false: there is no such reason. */
void words_summary(char out[REPORT_WORDS], const struct finding *f);
bool words_because(char out[REPORT_WORDS], const struct finding *f, unsigned n);

#endif
