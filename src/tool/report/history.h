/* history.h - what the histories of the state files add to the facts. */
#ifndef CONNSPREAD_TOOL_REPORT_HISTORY_H
#define CONNSPREAD_TOOL_REPORT_HISTORY_H

#include "state/history.h"
#include "tool/report/model.h"

/* Takes the minutes that begin between since_us and until_us. Sums are kept apart from those of the events, which they
 * repeat as far as the rings go back: the printers take the larger one. After all events; r->now_us is set. */
void report_add_history(struct report *r);

/* Each minute of each history, whenever it was. */
typedef void history_taker(struct report *r, uint32_t host, const struct history_view *view, void *context);
void report_read_history(struct report *r, history_taker *take, void *context);
struct destination_key history_destination(uint32_t host, const struct history_record *record);

#endif
