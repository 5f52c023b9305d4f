/* words.h - A finding in words, for people who were asleep at the time. */
#ifndef CONNSPREAD_TOOL_REPORT_WORDS_H
#define CONNSPREAD_TOOL_REPORT_WORDS_H

#include "tool/report/model.h"

void words_summary(char out[REPORT_WORDS], const struct finding *f);

bool words_because(char out[REPORT_WORDS], const struct finding *f, unsigned n);

#endif
