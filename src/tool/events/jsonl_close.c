#include "tool/events/jsonl_close.h"

#include <string.h>

#include "tool/common/time_text.h"
#include "tool/events/names.h"
#include "text/parse.h"
#include "tool/events/fields.h"

enum { WORD = 80 };

struct cursor {
    const char *at, *end;
};

/* The next bytes are these. */
static bool expect(struct cursor *c, const char *bytes, size_t n) {
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, bytes, n) != 0)
        return false;
    c->at += n;
    return true;
}
#define EXPECT(c, literal) expect(c, literal, sizeof(literal) - 1)

/* Printable ASCII up to a quote, without escapes, into out, NUL-terminated. */
static bool word(struct cursor *c, char out[WORD]) {
    unsigned n = 0;
    for (; c->at < c->end && *c->at != '"'; c->at++) {
        if (n == WORD - 1 || *c->at < 0x20 || *c->at > 0x7e || *c->at == '\\')
            return false;
        out[n++] = *c->at;
    }
    out[n] = 0;
    return EXPECT(c, "\"");
}

/* Digits as JSON has them. At most 18: that fits every reader's integers. */
static bool number(struct cursor *c, uint64_t max, uint64_t *out) {
    const char *first = c->at;
    uint64_t n = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9' && c->at - first < 18; c->at++)
        n = n * 10 + (uint64_t)(*c->at - '0');
    *out = n;
    return c->at > first && (*first != '0' || c->at - first == 1) && n <= max;
}

static bool text(struct cursor *c, const struct event_field *f, char *place) {
    char w[WORD];
    if (!word(c, w))
        return false;
    memcpy(place, w, strnlen(w, f->type == FIELD_TITLE ? f->size - 1u : f->size));
    return true;
}

static bool name(struct cursor *c, const struct event_field *f, uint8_t *place) {
    char w[WORD];
    return word(c, w) && event_value(f->names, w, place);
}

static bool address(struct cursor *c, struct addr *out) {
    char w[WORD];
    return word(c, w) && parse_address(w, out) == NULL;
}

static bool time_at(struct cursor *c, uint64_t *us) {
    char w[WORD];
    return word(c, w) && time_from_rfc3339(w, us);
}

static bool decided(struct cursor *c, struct event *e) {
    uint64_t at;
    if (!time_at(c, &at))
        return false;
    e->decided_before_ms = jsonl_before_ms(e->time_us, at);
    return true;
}

static bool hex16(struct cursor *c, uint64_t *out) {
    uint64_t n = 0;
    for (unsigned i = 0; i < 16; i++, c->at++) {
        const char *digit = c->at < c->end && *c->at ? strchr("0123456789abcdef", *c->at) : NULL;
        if (!digit)
            return false;
        n = n << 4 | (uint64_t)(*digit <= '9' ? *digit - '0' : *digit - 'a' + 10);
    }
    *out = n;
    return EXPECT(c, "\"");
}

static bool verified(struct cursor *c, uint8_t *out) {
    *out = VERIFIED_NULL;
    if (EXPECT(c, "null"))
        return true;
    *out = VERIFIED_TRUE;
    if (EXPECT(c, "true"))
        return true;
    *out = VERIFIED_FALSE;
    return EXPECT(c, "false");
}

/* What is a text in JSON, behind its first quote. False for what no close has. */
static bool quoted(struct cursor *c, const struct event_field *f, void *place) {
    switch ((enum field_type)f->type) {
    case FIELD_NAME:
        return name(c, f, place);
    case FIELD_TITLE:
    case FIELD_TEXT:
        return text(c, f, place);
    case FIELD_TIME:
        return time_at(c, place);
    case FIELD_DECIDED:
        return decided(c, place);
    case FIELD_HEX:
        return hex16(c, place);
    case FIELD_ADDRESS:
        return address(c, place);
    default:
        return false;
    }
}

static bool value(struct cursor *c, const struct event_field *f, void *place) {
    uint64_t n;
    if (f->type == FIELD_LITERAL)
        return verified(c, place);
    if (f->type != FIELD_NUMBER)
        return EXPECT(c, "\"") && quoted(c, f, place);
    if (!number(c, event_field_max(f), &n))
        return false;
    event_field_store(f, place, n);
    return true;
}

bool jsonl_parse_close(const char *line, size_t length, struct event_record *r, struct event_context *context) {
    static const unsigned closes = 1u << EVENT_TIME_WAIT | 1u << EVENT_CLOSE;
    struct cursor c = {line, line + length};
    memset(r, 0, sizeof *r);
    memset(context, 0, sizeof *context);
    for (const struct event_field *f = event_fields.field; f < event_fields.field + event_fields.n; f++) {
        bool first = f == event_fields.field;
        char *place = (f->of_context ? (char *)context : (char *)r) + f->offset;
        unsigned kind = r->e.kind == EVENT_NONE ? closes : event_kind_bit(r->e.kind); /* from the field event on */
        if (!(f->kinds & kind) || f->if_any) /* a line that has one is left to the other reader */
            continue;
        if ((first && !EXPECT(&c, "{")) || !expect(&c, f->key + first, f->length - (size_t)first) ||
            !value(&c, f, place))
            return false;
    }
    return (event_kind_bit(r->e.kind) & closes) && EXPECT(&c, "}") && c.at == c.end;
}
