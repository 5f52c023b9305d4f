/* tool_event.h - events that the tool itself writes into a state file: who changed what clients do. */
#ifndef CONNSPREAD_TOOL_EVENTS_TOOL_EVENT_H
#define CONNSPREAD_TOOL_EVENTS_TOOL_EVENT_H

#include "state/event.h"
#include "state/state.h"

struct state;

/* kind: EVENT_RELOAD or EVENT_OVERRIDE. text is cut at what fits. False: dropped (and counted). */
bool tool_event(const struct state *s, enum event_kind kind, const char *text);

#endif
