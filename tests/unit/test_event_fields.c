/* The bytes of every event's line: what a table of fields may never change by itself. A large
 * generated sample of each kind (whole, half-filled and scribbled records) has a digest: JSON, the same read back by
 * either reader and written again, and text. A new field changes the digests of its kinds, and theirs alone. */
#include <string.h>

#include "tool/events/jsonl.h"
#include "sample_events.h"
#include "suite.h"
#include "tool/events/json.h"
#include "tool/events/text.h"

enum { SAMPLES = 4000, SCRIBBLED = 256 };

static uint64_t seed;

/* xorshift64: the same numbers everywhere. */
static uint64_t any(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}
/* Often 0, often the last one that has a name, now and then one beyond. */
static uint8_t any_of(unsigned values) {
    return (uint8_t)(any() % 8 ? any() % values : values);
}
static uint64_t any_number(unsigned bits) {
    uint64_t n = any() >> (64 - bits);
    return any() % 4 ? n >> any() % bits : 0;
}

static struct addr any_address(void) {
    struct addr a = {0};
    if (any() % 8 == 0)
        return a;
    if (any() % 2)
        return addr_from_v4((uint32_t)any());
    for (unsigned i = 0; i < sizeof a.b; i++)
        a.b[i] = (uint8_t)any();
    return a;
}

static void any_text(char *out, size_t size) {
    static const char letters[] = "abcxyz019 -_.\"\\\n\x01\x7f\xc3\xa9\xff";
    size_t n = any() % (size + 1);
    memset(out, 0, size);
    for (size_t i = 0; i < n; i++) { /* one any() a statement: else each compiler has an order of its own */
        size_t span = any() % 4 ? 9 : sizeof letters - 1;
        out[i] = letters[any() % span];
    }
}

static void any_source(struct exhausted_source *x) {
    *x = (struct exhausted_source){.address = any_address()};
    x->cause = any_of(CAUSES);
    x->counted = any_of(COUNTEDS);
    if (any() % 2) {
        x->ports.low = (uint16_t)(1 + any() % 30000);
        x->ports.high = (uint16_t)(x->ports.low + any() % 30000);
    }
    x->open = (uint32_t)any_number(32);
    x->time_wait = (uint32_t)any_number(32);
    for (unsigned i = 0; i < KERNEL_GROUPS; i++)
        x->kernel[i] = (uint16_t)any_number(16);
}

static void any_exhausted(struct event_exhausted *x) {
    static const uint16_t errors[] = {0, 1, 99, 101, 9999};
    x->elapsed_us = any_number(62);
    x->repeats = (uint32_t)any_number(32);
    x->attempts = (uint16_t)any_number(16);
    x->n_sources = (uint16_t)(any() % (EXHAUSTED_SOURCES + 2));
    x->omitted = (uint16_t)any_number(16);
    x->error = errors[any() % 5];
    x->call = any_of(CALLS);
    x->cause = any_of(CAUSES);
    x->outcome = any_of(OUTCOMES);
    x->proof = any_of(PROOFS);
    x->recent_s = (uint16_t)any_number(16);
    x->bound = (uint16_t)any_number(16);
    x->recent_connects = (uint32_t)any_number(32);
    x->recent_time_waits = (uint32_t)any_number(32);
    x->reserved = (uint16_t)any_number(16);
    x->capacity = (uint16_t)any_number(16);
    x->bound_counted = any() % 2 ? COUNTED_ALL : COUNTED_NO;
    for (unsigned i = 0; i < EXHAUSTED_SOURCES; i++)
        any_source(&x->source[i]);
}

static struct event_record any_event(uint8_t kind, struct event_context *c) {
    struct event_record r = {.e.kind = kind};
    struct event *e = &r.e;
    e->time_us = 1795231679123456 + any_number(40);
    e->seq = any_number(60);
    e->netns = any_number(60);
    e->age_us = any_number(60);
    e->local = any_address();
    e->peer = any_address();
    e->pid = (uint32_t)any_number(32);
    e->tid = (uint32_t)any_number(32);
    e->decided_before_ms = (uint32_t)any_number(32);
    any_text(e->program, sizeof e->program);
    e->local_port = (uint16_t)any_number(16);
    e->peer_port = (uint16_t)any_number(16);
    e->arm = any_of(ARMS);
    e->direction = any_of(DIRECTIONS);
    e->via = any_of(VIAS);
    e->phase = any_of(TCP_STATES);
    e->fate = any_of(FATES);
    e->decided_by = any_of(DECIDED_BYS);
    e->verified = any_of(VERIFIEDS);
    if (event_has_sources(kind))
        any_exhausted(&r.u.exhausted);
    else
        any_text(r.u.text, sizeof r.u.text);
    c->epoch = any();
    any_text(c->host, sizeof c->host - 1);
    any_text(c->instance, sizeof c->instance - 1);
    any_text(c->rule, sizeof c->rule - 1);
    any_text(c->pool, sizeof c->pool - 1);
    return r;
}

/* FNV-1a. */
static uint64_t digest(uint64_t sum, const char *bytes, int n) {
    ck_assert_int_ge(n, 0);
    for (int i = 0; i < n; i++)
        sum = (sum ^ (unsigned char)bytes[i]) * 0x100000001b3;
    return sum;
}

/* What both forms and the readers make of it, added to three sums. */
static void add(const struct event_record *r, const struct event_context *c, uint64_t sum[3]) {
    char line[EVENT_LINE_MAX], again[EVENT_LINE_MAX];
    struct event_record back;
    struct event_context with;
    int n = event_json(r, c, line, sizeof line);
    sum[0] = digest(sum[0], line, n);
    if (jsonl_parse(line, (size_t)n, &back, &with) == NULL)
        sum[1] = digest(sum[1], again, event_json(&back, &with, again, sizeof again));
    if (jsonl_parse_any(line, (size_t)n, &back, &with) == NULL)
        sum[1] = digest(sum[1], again, event_json(&back, &with, again, sizeof again));
    sum[2] = digest(sum[2], line, event_text(r, c, line, sizeof line));
}

static const struct {
    const char *kind;
    uint64_t json, read, text;
} expected[EVENT_KINDS + 1] = {
    {"none", 0x2644ae4a053e5ab1, 0x1c86420404b850c9, 0x8b1068f7db7e1920},
    {"time-wait", 0x5946060a82a95d12, 0xca7f6f54e4ed1a77, 0x0272d397a1f2c0df},
    {"close", 0x5e2ef4fec5be8c68, 0xd825c8737e47e5ab, 0x919dc79756235eb8},
    {"exhausted", 0x3f65308dc93f7b77, 0x8b65a36116ffa9cb, 0xb889f0856107ceb8},
    {"source-down", 0x5eb020300511a205, 0xebae1b456bdc4f75, 0xc04976bd7cf9f888},
    {"attach", 0x357e4944fef0c59b, 0x0bf5165f994fcadd, 0x56519fcba2e99243},
    {"detach", 0xbfa8fa8935631ec5, 0xb647c5934e1eb951, 0x0df7ce51c0a3479f},
    {"reload", 0x89a4aa6cbd8a0b51, 0xb4cdb66f6a42f2a3, 0x30cca5285416822c},
    {"override", 0x66c95a72a695f701, 0x421d76661a324389, 0xb8237e9d6087f933},
    {"trace-connect", 0x20737b46f638a8ec, 0x567db48fb8404117, 0x33b64ed3548e4d79},
    {"trace-close", 0x73e595da81c6766e, 0x92d64d6340416ee1, 0xf0a03c01e6d21870},
    {"time-wait-gone", 0xd5963d3857a7ee98, 0x14bac17daeb432a1, 0xe270156290170373},
    {"holders", 0xd8b63058711784c7, 0xc198ecc3c792b0fb, 0x876913858dc4fd14},
    {"later", 0x757151ce4930e0f0, 0x7a5ba66c002d8d4d, 0x11194fdf150f318d},
};

START_TEST(generated_events_of_each_kind_are_the_same_bytes) {
    uint64_t sum[3] = {0xcbf29ce484222325, 0xcbf29ce484222325, 0xcbf29ce484222325};
    struct event_context c = {0};
    seed = 0x9e3779b97f4a7c15 + (uint64_t)_i;
    for (unsigned i = 0; i < SAMPLES; i++) {
        struct event_record r = any_event((uint8_t)_i, &c);
        add(&r, &c, sum);
    }
    for (unsigned i = 0; i < SCRIBBLED; i++) {
        struct event_record r;
        memset(&r, (int)i, sizeof r);
        r.e.kind = (uint8_t)_i;
        add(&r, &c, sum);
    }
    ck_assert_msg(sum[0] == expected[_i].json && sum[1] == expected[_i].read && sum[2] == expected[_i].text,
                  "{\"%s\", 0x%016llx, 0x%016llx, 0x%016llx},", expected[_i].kind, (unsigned long long)sum[0],
                  (unsigned long long)sum[1], (unsigned long long)sum[2]);
}
END_TEST

int main(void) {
    Suite *s = suite_create("event_fields");
    TCase *tc = tcase_create("fields");
    tcase_add_loop_test(tc, generated_events_of_each_kind_are_the_same_bytes, 0, EVENT_KINDS + 1);
    suite_add_tcase(s, tc);
    return run(s);
}
