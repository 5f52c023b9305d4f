#include "tool/events/jsonl_close.h"

#include <string.h>

#include "tool/common/time_text.h"
#include "tool/events/names.h"
#include "tool/events/jsonl.h"
#include "text/parse.h"

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

static bool number32(struct cursor *c, uint32_t *out) {
    uint64_t n;
    bool good = number(c, UINT32_MAX, &n);
    *out = (uint32_t)n;
    return good;
}

static bool port(struct cursor *c, uint16_t *out) {
    uint64_t n;
    bool good = number(c, UINT16_MAX, &n);
    *out = (uint16_t)n;
    return good;
}

static bool text(struct cursor *c, char *out, size_t size, bool terminated) {
    char w[WORD];
    if (!word(c, w))
        return false;
    memcpy(out, w, strnlen(w, terminated ? size - 1 : size));
    return true;
}

static bool name(struct cursor *c, enum name_table table, uint8_t *out) {
    char w[WORD];
    return word(c, w) && event_value(table, w, out);
}

static bool address(struct cursor *c, struct addr *out) {
    char w[WORD];
    return word(c, w) && parse_address(w, out) == NULL;
}

static bool time_at(struct cursor *c, uint64_t *us) {
    char w[WORD];
    return word(c, w) && time_from_rfc3339(w, us);
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

static bool head(struct cursor *c, struct event *e, struct event_context *context) {
    return EXPECT(c, "{\"time\":\"") && time_at(c, &e->time_us) && EXPECT(c, ",\"epoch\":\"") &&
           hex16(c, &context->epoch) && EXPECT(c, ",\"seq\":") && number(c, UINT64_MAX, &e->seq) &&
           EXPECT(c, ",\"event\":\"") && name(c, NAMES_KIND, &e->kind) &&
           (e->kind == EVENT_TIME_WAIT || e->kind == EVENT_CLOSE) && EXPECT(c, ",\"host\":\"") &&
           text(c, context->host, sizeof context->host, true) && EXPECT(c, ",\"netns\":") &&
           number(c, UINT64_MAX, &e->netns) && EXPECT(c, ",\"instance\":\"") &&
           text(c, context->instance, sizeof context->instance, true) && EXPECT(c, ",\"arm\":\"") &&
           name(c, NAMES_ARM, &e->arm) && EXPECT(c, ",\"pid\":") && number32(c, &e->pid) && EXPECT(c, ",\"tid\":") &&
           number32(c, &e->tid) && EXPECT(c, ",\"program\":\"") && text(c, e->program, sizeof e->program, false);
}

static bool connection(struct cursor *c, struct event *e, struct event_context *context) {
    return EXPECT(c, ",\"direction\":\"") && name(c, NAMES_DIRECTION, &e->direction) &&
           EXPECT(c, ",\"local_address\":\"") && address(c, &e->local) && EXPECT(c, ",\"local_port\":") &&
           port(c, &e->local_port) && EXPECT(c, ",\"peer_address\":\"") && address(c, &e->peer) &&
           EXPECT(c, ",\"peer_port\":") && port(c, &e->peer_port) && EXPECT(c, ",\"rule\":\"") &&
           text(c, context->rule, sizeof context->rule, true) && EXPECT(c, ",\"pool\":\"") &&
           text(c, context->pool, sizeof context->pool, true) && EXPECT(c, ",\"age_us\":") &&
           number(c, UINT64_MAX, &e->age_us);
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

static bool closing(struct cursor *c, struct event *e) {
    uint64_t decided;
    if (!EXPECT(c, ",\"via\":\"") || !name(c, NAMES_VIA, &e->via) || !EXPECT(c, ",\"state\":\"") ||
        !name(c, NAMES_PHASE, &e->phase) || !EXPECT(c, ",\"fate\":\"") || !name(c, NAMES_FATE, &e->fate) ||
        !EXPECT(c, ",\"decided_by\":\"") || !name(c, NAMES_DECIDED_BY, &e->decided_by) ||
        !EXPECT(c, ",\"decided_at\":\"") || !time_at(c, &decided) || !EXPECT(c, ",\"verified\":") ||
        !verified(c, &e->verified))
        return false;
    e->decided_before_ms = jsonl_before_ms(e->time_us, decided);
    return EXPECT(c, "}") && c->at == c->end;
}

bool jsonl_parse_close(const char *line, size_t length, struct event_record *r, struct event_context *context) {
    struct cursor c = {line, line + length};
    memset(r, 0, sizeof *r);
    memset(context, 0, sizeof *context);
    return head(&c, &r->e, context) && connection(&c, &r->e, context) && closing(&c, &r->e);
}
