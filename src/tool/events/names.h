/* names.h - the contract's words for what an event holds as numbers. */
#ifndef CONNSPREAD_TOOL_EVENTS_NAMES_H
#define CONNSPREAD_TOOL_EVENTS_NAMES_H

#include <stdbool.h>
#include <stdint.h>

enum name_table {
    NAMES_KIND,
    NAMES_ARM,
    NAMES_DIRECTION,
    NAMES_VIA,
    NAMES_PHASE,
    NAMES_FATE,
    NAMES_DECIDED_BY,
    NAMES_VERIFIED, /* as JSON values: null, true, false */
    NAMES_CALL,
    NAMES_CAUSE,
    NAMES_OUTCOME,
    NAMES_PROOF,
    NAMES_OCCUPIED,
    NAMES_DECISION,
    NAMES_REASON,
    NAMES_SAID,
    NAME_TABLES
};

/* "unknown" for what the table does not have: events come from memory that others can scribble over. */
const char *event_name(enum name_table table, unsigned value);

/* The reverse. False, and *out alone, when the table has no such name. */
bool event_value(enum name_table table, const char *name, uint8_t *out);

/* "ENETUNREACH"; NULL for errors that no source of ours runs into. And back: 0 when unknown. */
const char *error_name(unsigned error);
uint16_t error_value(const char *name);

#endif
