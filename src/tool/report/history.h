/* history.h - what the histories of the state files add to the facts. */
#ifndef CONNSPREAD_TOOL_REPORT_HISTORY_H
#define CONNSPREAD_TOOL_REPORT_HISTORY_H

#include "tool/report/model.h"

/* Takes the minutes that begin between since_us and until_us. Sums are kept apart from those of the events, which they
 * repeat as far as the rings go back: the printers take the larger one. After all events. */
void report_add_history(struct report *r, uint64_t now_us);

#endif
