#include "tool/events/json.h"

#include "text/parse.h"
#include "tool/common/strbuf.h"
#include "tool/events/fields.h"
#include "tool/events/occupied.h"
#include "tool/events/names.h"

/* Keys and their order are the contract (connspread(1), EVENTS): programs read this. They stand in fields.def. */

/* A word of ours: nothing in it needs an escape. */
static void word(struct strbuf *s, const char *text) {
    strbuf_bytes(s, "\"", 1);
    strbuf_text(s, text);
    strbuf_bytes(s, "\"", 1);
}

static void address(struct strbuf *s, const struct addr *a) {
    char text[ADDR_TEXT];
    format_address(text, a);
    word(s, text);
}

static void time_at(struct strbuf *s, uint64_t us) {
    strbuf_bytes(s, "\"", 1);
    strbuf_time(s, us);
    strbuf_bytes(s, "\"", 1);
}

static void hex(struct strbuf *s, uint64_t n) {
    strbuf_bytes(s, "\"", 1);
    strbuf_hex16(s, n);
    strbuf_bytes(s, "\"", 1);
}

static void ports(struct strbuf *s, const struct port_range *range) {
    if (range->low == 0 && range->high == 0) {
        word(s, "ephemeral");
        return;
    }
    strbuf_bytes(s, "\"", 1);
    strbuf_number(s, range->low);
    strbuf_bytes(s, "-", 1);
    strbuf_number(s, range->high);
    strbuf_bytes(s, "\"", 1);
}

static void error(struct strbuf *s, unsigned number) {
    const char *name = error_name(number);
    strbuf_bytes(s, "\"", 1);
    if (name)
        strbuf_text(s, name);
    else
        strbuf_number(s, number);
    strbuf_bytes(s, "\"", 1);
}

static void literal(struct strbuf *s, const struct event_field *f, unsigned value) {
    const char *name = event_name(f->names, value);
    strbuf_text(s, strcmp(name, "unknown") == 0 ? "null" : name);
}

static void put_fields(struct strbuf *s, const struct event_fields *table, unsigned kind, const void *whole,
                       const struct event_context *context, enum event_schema schema);

static void list(struct strbuf *s, const struct event_field *f, const struct event_exhausted *x, unsigned first,
                 unsigned n) {
    strbuf_bytes(s, "[", 1);
    for (unsigned i = first; i < first + n; i++) {
        if (i > first)
            strbuf_bytes(s, ",", 1);
        put_fields(s, f->members, event_kind_bit(EVENT_NONE), &x->source[i], NULL, SCHEMA_OURS);
    }
    strbuf_bytes(s, "]", 1);
}

static void put_value(struct strbuf *s, const struct event_field *f, const void *whole, const void *place) {
    switch ((enum field_type)f->type) {
    case FIELD_NUMBER:
        strbuf_number(s, event_field_load(f, place));
        break;
    case FIELD_NAME:
        word(s, event_name(f->names, (unsigned)event_field_load(f, place)));
        break;
    case FIELD_LITERAL:
        literal(s, f, (unsigned)event_field_load(f, place));
        break;
    case FIELD_TITLE:
    case FIELD_TEXT:
        strbuf_json(s, place, f->size);
        break;
    case FIELD_TIME:
        time_at(s, event_field_load(f, place));
        break;
    case FIELD_DECIDED:
        time_at(s, event_decided_us(place));
        break;
    case FIELD_HEX:
        hex(s, event_field_load(f, place));
        break;
    case FIELD_ADDRESS:
        address(s, place);
        break;
    case FIELD_PORTS:
        ports(s, place);
        break;
    case FIELD_ERROR:
        error(s, (unsigned)event_field_load(f, place));
        break;
    case FIELD_OCCUPIED_BY:
        word(s, event_name(NAMES_OCCUPIED, occupied_by(place)));
        break;
    case FIELD_COMPLETE: /* false: an estimate, from some of the ports */
        strbuf_text(s, event_field_load(f, place) == COUNTED_ALL ? "true" : "false");
        break;
    case FIELD_OBJECT:
        put_fields(s, f->members, event_kind_bit(EVENT_NONE), whole, NULL, SCHEMA_OURS);
        break;
    case FIELD_LIST:
        list(s, f, place, 0, event_sources(place));
        break;
    case FIELD_ENDPOINTS: {
        const struct event_exhausted *x = &((const struct event_record *)whole)->u.exhausted;
        list(s, f, x, event_sources(x), event_endpoints(x));
        break;
    }
    }
}

static void put_key(struct strbuf *s, const struct event_field *f, enum event_schema schema, bool first) {
    if (schema == SCHEMA_OURS) {
        strbuf_bytes(s, f->key + first, f->length - (size_t)first);
        return;
    }
    strbuf_text(s, first ? "\"" : ",\"");
    strbuf_text(s, f->as[schema] ? f->as[schema] : "connspread.");
    strbuf_text(s, f->as[schema] ? "" : f->name);
    strbuf_text(s, "\":");
}

/* kind: a bit. A kind of a newer version, or a damaged one, has the fields that all have. */
static void put_fields(struct strbuf *s, const struct event_fields *table, unsigned kind, const void *whole,
                       const struct event_context *context, enum event_schema schema) {
    bool first = true;
    for (const struct event_field *f = table->field; f < table->field + table->n; f++) {
        const char *bytes = f->of_context && context ? (const char *)context : whole, *place = bytes + f->offset;
        if (!event_field_given(f, kind, place))
            continue;
        if (first)
            strbuf_bytes(s, "{", 1);
        put_key(s, f, schema, first);
        if (f->counted && bytes[f->counted] == COUNTED_NO)
            strbuf_text(s, "null");
        else
            put_value(s, f, whole, place);
        first = false;
    }
    strbuf_bytes(s, "}", 1);
}

int event_json_as(enum event_schema schema, const struct event_record *r, const struct event_context *context,
                  char *out, size_t size) {
    struct strbuf s;
    strbuf_init(&s, out, size);
    if (schema == SCHEMA_ECS && r->e.direction == INBOUND)
        schema = SCHEMA_ECS_ACCEPTED;
    put_fields(&s, &event_fields, event_kind_bit(r->e.kind), r, context, schema);
    return strbuf_finish(&s);
}

int event_json(const struct event_record *r, const struct event_context *context, char *out, size_t size) {
    return event_json_as(SCHEMA_OURS, r, context, out, size);
}
