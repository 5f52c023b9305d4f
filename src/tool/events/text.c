#include "tool/events/text.h"

#include <string.h>

#include "tool/events/fields.h"
#include "tool/events/format.h"
#include "tool/events/names.h"
#include "tool/events/occupied.h"
#include "tool/common/strbuf.h"
#include "text/parse.h"

enum { KIND_WIDTH = 12 };

static void put_head(struct strbuf *s, const struct event *e) {
    const char *kind = event_name(NAMES_KIND, e->kind);
    size_t length = strlen(kind);
    strbuf_time(s, e->time_us);
    strbuf_bytes(s, " ", 1);
    strbuf_text(s, kind);
    strbuf_bytes(s, "            ", length < KIND_WIDTH ? KIND_WIDTH - length : 1);
    strbuf_plain(s, e->program, sizeof e->program);
    strbuf_bytes(s, "[", 1);
    strbuf_number(s, e->pid);
    strbuf_bytes(s, "] ", 2);
}

/* "*" for a socket that was not bound: the kernel was to choose. */
static void put_endpoint(struct strbuf *s, const struct addr *a, uint16_t port) {
    char text[ENDPOINT_TEXT];
    if (addr_is_any(a) && port == 0) {
        strbuf_bytes(s, "*", 1);
        return;
    }
    if (port)
        format_endpoint(text, a, port);
    else
        format_address(text, a);
    strbuf_text(s, text);
}

static void put_connection(struct strbuf *s, const struct event *e) {
    put_endpoint(s, &e->local, e->local_port);
    strbuf_text(s, e->direction == INBOUND ? " <- " : " -> ");
    put_endpoint(s, &e->peer, e->peer_port);
    strbuf_bytes(s, " ", 1);
}

/* Three digits are enough to judge a duration by: 850us, 12.3ms, 4.5s, 7200s. */
static void put_duration(struct strbuf *s, uint64_t us) {
    uint64_t unit = us < 1000 ? 1 : us < 1000000 ? 1000 : 1000000;
    strbuf_number(s, us / unit);
    if (unit > 1 && us / unit < 100) {
        strbuf_bytes(s, ".", 1);
        strbuf_number(s, us % unit * 10 / unit);
    }
    strbuf_text(s, unit == 1 ? "us" : unit == 1000 ? "ms" : "s");
}

static void put_error(struct strbuf *s, unsigned error) {
    const char *name = error_name(error);
    strbuf_text(s, name ? name : "errno ");
    if (!name)
        strbuf_number(s, error);
}

static void put_ports(struct strbuf *s, const struct port_range *range) {
    if (range->low == 0 && range->high == 0) {
        strbuf_text(s, "ephemeral");
        return;
    }
    strbuf_number(s, range->low);
    strbuf_bytes(s, "-", 1);
    strbuf_number(s, range->high);
}

static void say_fields(struct strbuf *s, const struct event_fields *table, enum event_part part, unsigned kind,
                       const void *whole, const struct event_context *context);

/* Members of an object, and of each of a list's, say all in their first part. */
static void say_members(struct strbuf *s, const struct event_field *f, const void *whole) {
    say_fields(s, f->members, PART_FIRST, event_kind_bit(EVENT_NONE), whole, NULL);
}

static void put_value(struct strbuf *s, const struct event_field *f, const void *whole, const void *place) {
    switch ((enum field_type)f->type) {
    case FIELD_NAME:
    case FIELD_LITERAL:
        strbuf_text(s, event_name(f->names, (unsigned)event_field_load(f, place)));
        break;
    case FIELD_TITLE:
    case FIELD_TEXT:
        strbuf_plain(s, place, f->size);
        break;
    case FIELD_ADDRESS:
        put_endpoint(s, place, 0);
        break;
    case FIELD_PORTS:
        put_ports(s, place);
        break;
    case FIELD_ERROR:
        put_error(s, (unsigned)event_field_load(f, place));
        break;
    case FIELD_OBJECT:
    case FIELD_LIST:
    case FIELD_ENDPOINTS:
        say_members(s, f, whole);
        break;
    case FIELD_NUMBER:
        strbuf_number(s, event_field_load(f, place));
        break;
    default: /* of a type that has words, or is said as a duration */
        break;
    }
}

/* What ~ stands for: of a decision, how long before the event it was. */
static uint64_t duration_of(const struct event_field *f, const void *place) {
    const struct event *e = place;
    return f->type == FIELD_DECIDED ? (uint64_t)e->decided_before_ms * 1000 : event_field_load(f, place);
}

static bool is_nothing(const struct event_field *f, const void *whole, const void *place) {
    if (f->type == FIELD_TITLE)
        return *(const char *)place == '\0';
    if (!f->says_any)
        return false;
    if (f->type == FIELD_OBJECT)
        return event_field_load(f->members->field, (const char *)whole + f->members->field->offset) == 0;
    return (f->type == FIELD_DECIDED ? duration_of(f, place) : event_field_load(f, place)) == 0;
}

static void say_phrase(struct strbuf *s, const struct event_field *f, const void *whole, const void *place) {
    for (const char *p = f->says; *p; p++) {
        if (*p == '%')
            put_value(s, f, whole, place);
        else if (*p == '~')
            put_duration(s, duration_of(f, place));
        else if (strncmp(p, "(s)", 3) != 0)
            strbuf_bytes(s, p, 1);
        else
            strbuf_bytes(s, "s", event_field_load(f, place) != 1), p += 2;
    }
}

static void say_word(struct strbuf *s, const struct event_field *f, const void *place) {
    unsigned value = f->type == FIELD_OCCUPIED_BY ? occupied_by(place) : (unsigned)event_field_load(f, place);
    if (value < f->n_words && f->words[value])
        strbuf_text(s, f->words[value]);
}

/* The phrase for each of a list: of the sources, or of the endpoints, which stand behind them. */
static void say_each(struct strbuf *s, const struct event_field *f, const struct event_exhausted *x) {
    bool endpoints = f->type == FIELD_ENDPOINTS;
    unsigned first = endpoints ? event_sources(x) : 0, n = endpoints ? event_endpoints(x) : event_sources(x);
    for (unsigned i = first; i < first + n; i++)
        say_phrase(s, f, &x->source[i], &x->source[i]);
}

static void say_fields(struct strbuf *s, const struct event_fields *table, enum event_part part, unsigned kind,
                       const void *whole, const struct event_context *context) {
    for (const struct event_field *f = table->field; f < table->field + table->n; f++) {
        const char *bytes = f->of_context && context ? (const char *)context : whole, *place = bytes + f->offset;
        if (f->part != part || !event_field_given(f, kind, place) || (f->counted && bytes[f->counted] == COUNTED_NO))
            continue;
        if (f->words)
            say_word(s, f, place);
        else if (f->type == FIELD_LIST || f->type == FIELD_ENDPOINTS)
            say_each(s, f, &((const struct event_record *)whole)->u.exhausted);
        else if (!is_nothing(f, whole, place))
            say_phrase(s, f, whole, place);
    }
}

enum colour event_colour(unsigned kind) {
    return kind == EVENT_EXHAUSTED                              ? COLOUR_BAD
           : kind == EVENT_SOURCE_DOWN || kind == EVENT_HOLDERS ? COLOUR_WARNING
                                                                : COLOUR_NONE;
}

int event_text(const struct event_record *r, const struct event_context *context, char *out, size_t size) {
    struct strbuf s;
    strbuf_init(&s, out, size);
    put_head(&s, &r->e);
    if (event_kind_bit(r->e.kind) == event_kind_bit(EVENT_NONE))
        strbuf_text(&s, "(an event of another version)");
    else if (event_has_endpoints(r->e.kind))
        put_connection(&s, &r->e);
    for (enum event_part part = PART_FIRST; part < PARTS; part++)
        say_fields(&s, &event_fields, part, event_kind_bit(r->e.kind), r, context);
    return strbuf_finish(&s);
}
