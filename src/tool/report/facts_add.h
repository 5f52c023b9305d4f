/* facts_add.h - one event after the other, into the facts. */
#ifndef CONNSPREAD_TOOL_REPORT_FACTS_ADD_H
#define CONNSPREAD_TOOL_REPORT_FACTS_ADD_H

#include "tool/report/facts.h"

/* Takes one event. They come in order of time, more or less. */
void facts_add(struct facts *f, const struct event_record *r, const struct event_context *context);

#endif
