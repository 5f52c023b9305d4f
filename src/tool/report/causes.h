/* causes.h - the cause of a finding, in plain words. */
#ifndef CONNSPREAD_TOOL_REPORT_CAUSES_H
#define CONNSPREAD_TOOL_REPORT_CAUSES_H

#include "tool/common/strbuf.h"
#include "tool/report/model.h"

/* The shares, if there are several, and what the largest one means. */
void causes_say(struct strbuf *s, const struct finding *f);

/* The same as a part of a sentence; and what has a share of the ports. */
void causes_say_short(struct strbuf *s, const struct finding *f);
void causes_say_share(struct strbuf *s, const struct finding *f, enum conclusion_kind kind);

/* Whose share it is; empty: not known, or no single one's. */
const char *causes_program(const struct finding *f, enum conclusion_kind kind);

bool causes_has(const struct finding *f, enum conclusion_kind kind);

/* The destination, or words for one that is not known. */
const char *causes_destination(const struct finding *f);

#endif
