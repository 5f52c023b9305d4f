/* advice.h - What to do about a finding. The order is conclude()'s. */
#ifndef CONNSPREAD_TOOL_REPORT_ADVICE_H
#define CONNSPREAD_TOOL_REPORT_ADVICE_H

#include "tool/report/model.h"

void words_remedy(char out[REPORT_WORDS], const struct finding *f, enum remedy remedy);

#endif
