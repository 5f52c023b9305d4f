/* A state file that somebody scribbled over, mapped, read, and written to: no access outside of it, no reading without
 * end.
 *
 * The image is built here; the input is a list of twelve-byte scribbles on it: where (1 byte: which section; 3 bytes:
 * which 8-byte word of it) and what (8 bytes). A section number from 16 on also makes the check of that ring's cell
 * right, so that what is in it is believed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "state/history.h"
#include "state/open_chunk.h"
#include "state/segment.h"
#include "state/pair.h"
#include "state/ring.h"
#include "state/history_reader.h"
#include "state/ring_reader.h"
#include "state/state.h"
#include "state/control.h"
#include "state/pair_table.h"

enum { SCRIBBLE = 12, HEADER = SECTIONS, FORGE = 16, FIRST_RECORDS = 700 };
/* Of the day only the first minutes are used, so that the rest need not be made anew each time. */
enum { MINUTE = 20000 * HISTORY_MINUTES, MINUTES = 8 };
_Static_assert(SECTIONS < FORGE, "every section has a number");

static unsigned char *image, *copy;
static size_t size;
static const struct endpoint destination = {.addr.b = {[10] = 0xff, 0xff, 10, 2, 0, 1}, .port = 80};

static void require(int condition) {
    if (!condition)
        abort();
}

static void write_history(const struct state *s) {
    struct addr source = {{0}};
    for (unsigned i = 0; i < 40; i++) {
        struct history_flow f = {.netns = 1, .source = &source, .destination = &destination, .program = "fuzz"};
        source.b[15] = (uint8_t)i;
        f.key = history_key(pair_key(1, &source, &destination), history_program("fuzz"));
        for (unsigned n = 0; n < 2; n++) {
            (void)history_connect(s, &f, MINUTE + i % MINUTES, i);
            history_count(s, &f, MINUTE, (enum history_counter)(i % HISTORY_COUNTERS));
            history_peak(s, &f, MINUTE, i);
        }
    }
}

/* A file as a busy instance leaves it: a policy with sources and ports, names, and rings that have gone round. */
static void build_image(void) {
    static struct policy policy;
    struct state_header layout = {0};
    struct state s;
    sections_plan(&layout, LOG_SIZE_MIN);
    size = (size_t)layout.size;
    image = aligned_alloc(4096, size);
    copy = aligned_alloc(4096, size);
    require(image && copy);
    memset(image, 0, size);
    memset(copy, 0, size);
    header_fill((struct state_header *)(void *)image, "fuzz", LOG_SIZE_MIN);
    blocks_are_there((struct state_header *)(void *)image, BLOCKS);
    require(sections_bind(&s, image, size));
    policy_default(&policy);
    policy.pool[0].sources[SCOPE_V4] = (struct policy_span){.first = 0, .count = 2};
    policy.pool[0].ports = (struct policy_span){.first = 0, .count = 1};
    policy.n_sources = 2;
    policy.n_ports = policy.n_programs = 1;
    policy.source[0] = policy.source[1] = (struct policy_source){.first = addr_from_v4(0x0a000001), .count = 9};
    policy.ports[0] = (struct port_range){.low = 1024, .high = 65535};
    memcpy(policy.program[0], "[a-c]*x", 8);
    (void)state_publish(&s, &policy, NULL);
    write_history(&s);
    for (unsigned i = 0; i < FIRST_RECORDS; i++) {
        struct event_record r = {.e.kind = (uint8_t)(1 + i % (EVENT_KINDS - 1)), .e.age_us = i};
        if (r.e.kind == EVENT_EXHAUSTED) {
            r.u.exhausted.n_sources = (uint16_t)(i % (EXHAUSTED_SOURCES + 1));
            r.u.exhausted.n_endpoints = (uint8_t)(i % 3);
        } else {
            memset(r.u.text, 'x', i % EVENT_TEXT);
        }
        (void)ring_write(&s, &r);
    }
}

static void scribble(const struct state *s, const unsigned char *input) {
    unsigned where = input[0] % FORGE;
    uint64_t word = (uint64_t)input[1] << 16 | (uint64_t)input[2] << 8 | input[3], value;
    const struct state_header *good = (const struct state_header *)(const void *)image;
    memcpy(&value, input + 4, sizeof value);
    uint64_t offset = where < SECTIONS ? good->section[where].offset : 0;
    uint64_t length = where < SECTIONS ? good->section[where].size : sizeof *good;
    if (where == SECTION_HISTORY)
        length = MINUTES * sizeof(struct history_minute);
    word %= length / sizeof value;
    memcpy(copy + offset + word * sizeof value, &value, sizeof value);
    bool ring = where == SECTION_INCIDENTS || where == SECTION_CLOSES;
    if (input[0] >= FORGE && ring) {
        enum ring_id id = where == SECTION_INCIDENTS ? RING_INCIDENTS : RING_CLOSES;
        struct cell *cell = &s->ring[id][word * sizeof value / CELL_BYTES];
        cell->check = cell_check(cell->number, cell->part, cell->parts, cell->payload);
    }
}

/* Everything as it was built. */
static void restore(void) {
    const struct state_header *good = (const struct state_header *)(const void *)image;
    const struct state_section *history = &good->section[SECTION_HISTORY];
    size_t used = (size_t)history->offset + MINUTES * sizeof(struct history_minute);
    size_t after = (size_t)(history->offset + history->size);
    memcpy(copy, image, used);
    memcpy(copy + after, image + after, size - after);
}

static void check_record(const struct event_record *r) {
    const struct event *e = &r->e;
    require(e->kind != EVENT_NONE && e->kind < EVENT_KINDS && e->arm < ARMS && e->direction < DIRECTIONS);
    require(e->via < VIAS && e->phase < TCP_STATES && e->fate < FATES);
    require(e->decided_by < DECIDED_BYS && e->verified < VERIFIEDS);
    if (e->kind == EVENT_TRACE_CONNECT) {
        const struct event_exhausted *x = &r->u.exhausted;
        require(x->n_sources <= EXHAUSTED_SOURCES && x->cause < REASONS && x->outcome < DECISIONS);
        for (unsigned i = 0; i < x->n_sources; i++)
            require(x->source[i].cause < SAIDS);
    } else if (e->kind == EVENT_EXHAUSTED || e->kind == EVENT_SOURCE_DOWN) {
        require(r->u.exhausted.n_sources + r->u.exhausted.n_endpoints <= EXHAUSTED_SOURCES);
        require(r->u.exhausted.cause < CAUSES);
        for (unsigned i = 0; i < EXHAUSTED_SOURCES; i++)
            require(r->u.exhausted.source[i].cause < CAUSES);
    } else {
        require(memchr(r->u.text, 0, EVENT_TEXT) != NULL);
    }
}

static void read_rings(const struct state *s) {
    struct ring_reader reader;
    struct event_record r;
    reader_init(&reader, s);
    for (int ring = 0; ring < RINGS; ring++)
        for (uint64_t n = 0; reader_next(&reader, (enum ring_id)ring, 0, &r) == READ_EVENT; n++) {
            require(n <= s->cells[ring]);
            check_record(&r);
        }
}

static void read_policy(const struct state *s) {
    static struct policy policy;
    static const char *const program[] = {"", "abcx", "zzzzzzzzzzzzzzzzzzz"};
    struct match match;
    struct settings settings;
    char title[POLICY_TITLE];
    (void)state_policy(s, &policy);
    (void)state_policy_is(s, &policy.origin);
    for (int i = 0; i < 3; i++) {
        (void)state_settings(s, &settings);
        (void)state_client_bind(s, program[i]);
        if (!state_match(s, &destination, program[i], &match))
            continue;
        require(match.n_sources <= POOL_SOURCES && match.n_ports <= POOL_PORTS && match.n_also <= RULE_ENDPOINTS);
        require(!match.matched || (match.attempts >= 1 && match.attempts <= RULE_ATTEMPTS_MAX));
        if (match.total)
            (void)match_source(&match, match.total - 1);
        state_title(s, match.rule_id, title);
    }
    for (unsigned id = 0; id <= NAMES; id += 31) {
        state_title(s, (uint16_t)id, title);
        require(memchr(title, 0, POLICY_TITLE) != NULL);
    }
}

static void read_history(const struct state *s) {
    static struct history_view view;
    struct history_reader r;
    history_reader_init(&r, s, UINT32_MAX);
    for (unsigned n = 0; history_next(&r, &view); n++) {
        require(n < HISTORY_MINUTES && view.flows <= HISTORY_RECORDS);
        for (unsigned i = 0; i < view.flows; i++)
            require(memchr(view.record[i].program, 0, sizeof view.record[i].program) != NULL);
    }
}

/* Further pages of its minutes, as the words that name them say: those of one segment, which was never written to, or
 * was by this very input. */
static void use_further_pages(struct state *s, void (*use)(const struct state *s)) {
    static struct history_minute block[HISTORY_BLOCK];
    static struct segments segments;
    segments = (struct segments){.header = s->header, .n = 4, .copied = true, .at = {block}};
    s->header->segment[0] = SEGMENT_HISTORY;
    s->segments = &segments;
    use(s);
    s->segments = NULL;
}

/* Two segments that are there, and one that could not be mapped; what each is, says the header. */
static void read_open_table(struct state *s) {
    static struct open_chunk block[2][OPEN_BLOCK];
    static struct segments segments;
    segments = (struct segments){.header = s->header, .n = 3, .copied = true, .at = {block[0], block[1]}};
    s->segments = &segments;
    unsigned end = open_chunks(s), there = 0;
    require(end >= OPEN_FIRST && end <= OPEN_FIRST + 3 * OPEN_BLOCK);
    for (unsigned i = 0; i < OPEN_CHUNKS; i += i < end ? 1 : 97) {
        struct open_chunk *chunk = open_chunk_of(s, i);
        there += chunk != NULL;
        if (chunk && __atomic_load_n(&s->open_table->owner[i], __ATOMIC_RELAXED) != 0)
            chunk->entry[i % OPEN_PER_CHUNK].word = OPEN_NOW;
    }
    require(there <= OPEN_FIRST + 2 * OPEN_BLOCK); /* fewer, where the header says that a block is not there */
    require(segment_grow(&segments, SEGMENT_OPEN, SEGMENTS) == -1);
    s->segments = NULL;
}

/* What clients do to the file. */
static void write_all(const struct state *s) {
    static struct policy policy;
    struct state writable = *s;
    uint64_t now = (uint64_t)3600 * 1000000000u;
    uint32_t repeats;
    for (unsigned i = 0; i < 8; i++) {
        struct event_record r = {.e.kind = (uint8_t)(1 + i % (EVENT_KINDS - 1))};
        struct pair *p = pair_find(s, i * 977, true, now);
        (void)ring_write(s, &r);
        (void)pair_full(p, now, i * (uint64_t)1000);
        (void)pair_may_try(p, now + i);
        (void)pair_set_unusable(p, now, UNREACHABLE_MS);
        (void)pair_worked(p);
        (void)pair_within_budget(p, now, 1, &repeats);
        pair_opened(p, now);
        pair_closed(p, true, now);
        (void)(pair_open(p) + pair_time_waits(p, now));
    }
    policy_default(&policy);
    (void)state_publish(&writable, &policy, NULL);
    state_count(s, ARM_ENFORCE, COUNT_CONNECTS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    struct state s;
    if (!image)
        build_image();
    restore();
    require(sections_bind(&s, copy, size));
    for (; length >= SCRIBBLE; data += SCRIBBLE, length -= SCRIBBLE)
        scribble(&s, data);
    if (!sections_bind(&s, copy, size))
        return 0;
    read_rings(&s);
    read_policy(&s);
    read_history(&s);
    read_open_table(&s);
    write_all(&s);
    use_further_pages(&s, write_history);
    read_rings(&s);
    use_further_pages(&s, read_history);
    return 0;
}
