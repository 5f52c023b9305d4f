/* fill STATE [TEXT]: a state file as a hostile owner may have it: every row of the statistics taken, each by a source
 * of its own; with TEXT, that in every name that the tool prints, and events that say it. */
#include <stdio.h>
#include <string.h>

#include "state/ring.h"
#include "state/state.h"
#include "state/stats.h"

static void fill_rows(struct state *s) {
    for (unsigned i = 0; i < STATS; i++) {
        struct stat_entry *e = &s->stat[i];
        e->source =
            (struct addr){.b = {[10] = 0xff, [11] = 0xff, [12] = 10, [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i}};
        e->rule_id = 1;
        e->key = stats_key(e->arm, e->rule_id, e->lane, &e->source, 0);
        e->bucket[3] = 7;
    }
}

static void put(char *out, size_t size, const char *text) {
    memset(out, 0, size);
    memcpy(out, text, strnlen(text, size - 1));
}

static void fill_text(struct state *s, const char *text) {
    struct event_record r = {.e = {.kind = EVENT_OVERRIDE, .time_us = 1700000000000000u}};
    put(s->header->instance, sizeof s->header->instance, text);
    put(s->header->host, sizeof s->header->host, text);
    for (unsigned i = 1; i < 4; i++)
        put(s->name[i], sizeof s->name[i], text);
    put(r.e.program, sizeof r.e.program, text);
    put(r.u.text, sizeof r.u.text, text);
    (void)ring_write(s, &r);
    struct event_record x = {.e = {.kind = EVENT_EXHAUSTED, .time_us = 1700000000000000u, .rule_id = 1, .pool_id = 2}};
    put(x.e.program, sizeof x.e.program, text);
    (void)ring_write(s, &x);
}

int main(int argc, char **argv) {
    struct state s = {0};
    int error = 0;
    if (argc < 2 || state_map(&s, argv[1], &error) != STATE_OK) {
        fprintf(stderr, "fill: %s: no state file, error %d\n", argc < 2 ? "" : argv[1], error);
        return 1;
    }
    if (argc > 2)
        fill_text(&s, argv[2]);
    else
        fill_rows(&s);
    return 0;
}
