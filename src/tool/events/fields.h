/* fields.h - what an event has, as a table that its writers and its readers walk. */
#ifndef CONNSPREAD_TOOL_EVENTS_FIELDS_H
#define CONNSPREAD_TOOL_EVENTS_FIELDS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "state/event.h"

enum field_type {
    FIELD_NUMBER,
    FIELD_NAME,        /* a word of the table names */
    FIELD_LITERAL,     /* the same, without quotes: null, true, false */
    FIELD_TITLE,       /* text with a NUL at its end */
    FIELD_TEXT,        /* text that may fill its place to the last byte */
    FIELD_TIME,        /* microseconds since 1970 */
    FIELD_DECIDED,     /* the same, as milliseconds before the event's time */
    FIELD_HEX,         /* 16 digits */
    FIELD_ADDRESS,     /* struct addr */
    FIELD_PORTS,       /* struct port_range; 0-0 is "ephemeral" */
    FIELD_ERROR,       /* an errno by name */
    FIELD_OCCUPIED_BY, /* concluded from the rest: written, never read */
    FIELD_COMPLETE,    /* enum counted: false for a sample */
    FIELD_OBJECT,      /* members, in the same place as what they are members of */
    FIELD_LIST,        /* the sources of an exhausted event */
    FIELD_ENDPOINTS,   /* its other endpoints, which stand behind the sources; at n_endpoints */
};

/* Whose names the members have. ECS_ACCEPTED: of an event about an accepted connection. */
enum event_schema { SCHEMA_OURS, SCHEMA_OTEL, SCHEMA_ECS, SCHEMA_ECS_ACCEPTED, SCHEMAS };

/* Where in the text form: the first line in three parts, and indented lines below it. */
enum event_part { PART_NONE, PART_FIRST, PART_THEN, PART_LAST, PART_BELOW, PARTS };

struct event_fields;
struct event_field {
    const char *name;
    const char *key; /* the name with what stands around it: ,"pid": */
    uint8_t length;  /* of key */
    uint8_t type;
    uint8_t names;                      /* enum name_table */
    bool if_any;                        /* left out when it is 0 */
    bool of_context;                    /* its place is in struct event_context */
    uint16_t kinds;                     /* bits 1 << enum event_kind */
    uint16_t offset, size;              /* in struct event_record, or in struct exhausted_source */
    uint16_t counted;                   /* where its enum counted stands: null when that is COUNTED_NO; 0: never null */
    const struct event_fields *members; /* of an object or of each of a list */
    const char *as[SCHEMAS];            /* NULL: connspread. and the name */
    uint8_t part;                       /* enum event_part; PART_NONE: the text form does not say it */
    bool says_any;                      /* nothing is said when it is 0 */
    uint8_t n_words;
    const char *says;         /* see fields.def */
    const char *const *words; /* a whole phrase for each value; NULL: nothing */
};
struct event_fields {
    const struct event_field *field;
    unsigned n;
};

extern const struct event_fields event_fields;

/* The bit of a kind. One that this version does not know has the fields that all have. */
static inline unsigned event_kind_bit(unsigned kind) {
    return 1u << (kind < EVENT_KINDS ? kind : (unsigned)EVENT_NONE);
}

/* Whether such an event is of one connection, from one endpoint to another. */
bool event_has_endpoints(unsigned kind);

/* Whether f is of an event of kind (a bit), and not left out because it is 0. */
bool event_field_given(const struct event_field *f, unsigned kind, const void *place);

/* A whole number in its place, of 1, 2, 4 or 8 bytes. */
uint64_t event_field_load(const struct event_field *f, const void *place);
void event_field_store(const struct event_field *f, void *place, uint64_t n);
static inline uint64_t event_field_max(const struct event_field *f) {
    return UINT64_MAX >> (64 - 8 * f->size);
}

#endif
