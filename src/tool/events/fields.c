#include "tool/events/fields.h"

#include "tool/events/format.h"
#include "tool/events/names.h"
#include "tool/events/occupied.h"

#include <stddef.h>

/* Kinds. */
#define BIT(kind)     (1u << EVENT_##kind)
#define EXHAUSTED     BIT(EXHAUSTED)
#define SOURCE_DOWN   BIT(SOURCE_DOWN)
#define TRACE_CONNECT BIT(TRACE_CONNECT)
#define TRACE_CLOSE   BIT(TRACE_CLOSE)
#define ENDS          (BIT(TIME_WAIT) | BIT(CLOSE))
#define TRACES        (TRACE_CONNECT | TRACE_CLOSE)
#define CLOSES        (ENDS | TRACE_CLOSE)
#define GONE          BIT(TIME_WAIT_GONE)
#define AGED          (CLOSES | EXHAUSTED | SOURCE_DOWN | TRACE_CONNECT)
#define CONNECTIONS   (AGED | GONE)
#define HOLDERS       BIT(HOLDERS)
#define TEXTS         (BIT(ATTACH) | BIT(DETACH) | BIT(RELOAD) | BIT(OVERRIDE) | HOLDERS)
#define ALL           (BIT(NONE) | CONNECTIONS | TEXTS)
_Static_assert(ALL == BIT(KINDS) - 1, "each kind of event is in a group");

/* Types: enum field_type, and what some need beside it. */
#define NUMBER                  .type = FIELD_NUMBER
#define NUMBER_IF_ANY           .type = FIELD_NUMBER, .if_any = true
#define NUMBER_IF(where)        .type = FIELD_NUMBER, .counted = offsetof(struct event_record, where)
#define NAME(table)             .type = FIELD_NAME, .names = NAMES_##table
#define LITERAL(table)          .type = FIELD_LITERAL, .names = NAMES_##table
#define TITLE                   .type = FIELD_TITLE
#define TEXT                    .type = FIELD_TEXT
#define TIME                    .type = FIELD_TIME
#define DECIDED                 .type = FIELD_DECIDED
#define HEX                     .type = FIELD_HEX
#define ADDRESS                 .type = FIELD_ADDRESS
#define ADDRESS_IF_ANY          .type = FIELD_ADDRESS, .if_any = true
#define PORTS                   .type = FIELD_PORTS
#define ERROR                   .type = FIELD_ERROR
#define ERROR_IF_ANY            .type = FIELD_ERROR, .if_any = true
#define OCCUPIED_BY             .type = FIELD_OCCUPIED_BY
#define COMPLETE                .type = FIELD_COMPLETE
#define OBJECT(table)           .type = FIELD_OBJECT, .members = &table##_fields
#define OBJECT_IF(table, where) OBJECT(table), .counted = offsetof(struct exhausted_source, where)
#define LIST(table)             .type = FIELD_LIST, .members = &table##_fields
#define ENDPOINTS               .type = FIELD_ENDPOINTS, .if_any = true, .members = &endpoint_fields

/* Places. */
#define PLACE(whole, part) .offset = offsetof(struct whole, part), .size = sizeof((struct whole *)0)->part
#define RECORD(part)       PLACE(event_record, part)
#define CONTEXT(part)      PLACE(event_context, part), .of_context = true
#define OF_SOURCE(part)    PLACE(exhausted_source, part)

/* Names of others. */
#define OURS                         NULL
#define AS(otel, ecs)                AS_SIDE(otel, ecs, ecs)
#define AS_SIDE(otel, ecs, accepted) .as = {[SCHEMA_OTEL] = otel, [SCHEMA_ECS] = ecs, [SCHEMA_ECS_ACCEPTED] = accepted}

/* Phrases of the text form. */
#define SAYS(where, phrase)     .part = PART_##where, .says = (phrase)
#define SAYS_ANY(where, phrase) SAYS(where, phrase), .says_any = true
#define SAYS_WORDS(where, list)                                                                                        \
    .part = PART_##where, .words = said_##list, .n_words = sizeof said_##list / sizeof said_##list[0]

static const char *const said_verified[VERIFIEDS] = {
    [VERIFIED_TRUE] = ", verified", [VERIFIED_FALSE] = ", unconfirmed", /* the kernel was asked and did not know, or
                                                                           could not be asked any more */
};
static const char *const said_occupied_by[OCCUPIED_BYS] = {
    [OCCUPIED_INSTANCE] = "\n    taken by this instance's own connections",
    [OCCUPIED_OTHERS] = "\n    taken by connections of processes outside this instance",
    [OCCUPIED_BOUND] = "\n    few connections: sockets bound to ports of the range block it",
};
static const char *const said_complete[COUNTEDS] = {[COUNTED_SAMPLE] = " (estimated from a sample)"};

#define ROW(title, of, ...)                                                                                            \
    {.name = #title, .key = ",\"" #title "\":", .length = sizeof(#title) + 3, .kinds = (of), __VA_ARGS__},
#define TABLE(name) static const struct event_fields name##_fields = {name, sizeof name / sizeof name[0]}
#define FIELD(name, of, ...)
#define SOURCE(name, ...)
#define KERNEL(name, ...)
#define RECENT(name, ...)
#define ASKED(name, ...)
#define ENDPOINT(name, ...)

#undef KERNEL
#define KERNEL(name, ...) ROW(name, ALL, __VA_ARGS__)
static const struct event_field kernel[] = {
#include "tool/events/fields.def"
};
TABLE(kernel);
#undef KERNEL
#define KERNEL(name, ...)

#undef RECENT
#define RECENT(name, ...) ROW(name, ALL, __VA_ARGS__)
static const struct event_field recent[] = {
#include "tool/events/fields.def"
};
TABLE(recent);
#undef RECENT
#define RECENT(name, ...)

#undef SOURCE
#define SOURCE(name, ...) ROW(name, ALL, __VA_ARGS__)
static const struct event_field source[] = {
#include "tool/events/fields.def"
};
TABLE(source);
#undef SOURCE
#define SOURCE(name, ...)

#undef ASKED
#define ASKED(name, ...) ROW(name, ALL, __VA_ARGS__)
static const struct event_field asked[] = {
#include "tool/events/fields.def"
};
TABLE(asked);
#undef ASKED
#define ASKED(name, ...)

#undef ENDPOINT
#define ENDPOINT(name, ...) ROW(name, ALL, __VA_ARGS__)
static const struct event_field endpoint[] = {
#include "tool/events/fields.def"
};
TABLE(endpoint);
#undef ENDPOINT
#define ENDPOINT(name, ...)

#undef FIELD
#define FIELD(name, of, ...) ROW(name, of, __VA_ARGS__)
static const struct event_field field[] = {
#include "tool/events/fields.def"
};
const struct event_fields event_fields = {field, sizeof field / sizeof field[0]};

bool event_has_endpoints(unsigned kind) {
    return event_kind_bit(kind) & CONNECTIONS;
}

static bool is_any(const struct event_field *f, const void *place) {
    return f->type == FIELD_ADDRESS ? addr_is_any(place) : event_field_load(f, place) == 0;
}

bool event_field_given(const struct event_field *f, unsigned kind, const void *place) {
    return f->kinds & kind && !(f->if_any && is_any(f, place));
}

uint64_t event_field_load(const struct event_field *f, const void *place) {
    switch (f->size) {
    case 1:
        return *(const uint8_t *)place;
    case 2:
        return *(const uint16_t *)place;
    case 4:
        return *(const uint32_t *)place;
    default:
        return *(const uint64_t *)place;
    }
}

void event_field_store(const struct event_field *f, void *place, uint64_t n) {
    switch (f->size) {
    case 1:
        *(uint8_t *)place = (uint8_t)n;
        break;
    case 2:
        *(uint16_t *)place = (uint16_t)n;
        break;
    case 4:
        *(uint32_t *)place = (uint32_t)n;
        break;
    default:
        *(uint64_t *)place = n;
        break;
    }
}
