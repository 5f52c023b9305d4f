#include "tool/stat/down.h"

#include <stdlib.h>
#include <string.h>

#include "tool/stat/model.h"
#include "state/pair.h"
#include "base/sys.h"
#include "state/control.h"
#include "state/copy.h"
#include "state/segment.h"

static unsigned seconds_until(uint64_t until, uint64_t now) {
    uint64_t ns = until > now ? until - now : 0, most = (uint64_t)DOWN_MAX_MS * 1000000;
    return (unsigned)(((ns < most ? ns : most) + 999999999) / 1000000000);
}

static void take(struct stat_report *out, const struct state *s, const struct pair *pairs, unsigned n) {
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < n; i++) {
        const struct pair p = pairs[i];
        if (!pair_is_down(&p) || out->n_downs++ >= STAT_DOWNS)
            continue;
        struct stat_down *down = &out->down[out->n_downs - 1];
        state_title(s, p.rule_id, down->rule);
        if (addr_is_any(&p.source))
            memcpy(down->source, STAT_ENDPOINT, sizeof STAT_ENDPOINT);
        else
            format_address(down->source, &p.source);
        format_endpoint(down->destination, &p.destination, p.port);
        down->unanswered = p.unanswered;
        down->retry_s = seconds_until(p.down_until, now);
    }
}

/* One segment at a time: there may be 250 of them. */
void stat_take_downs(struct stat_report *out, const struct state *s) {
    struct pair_block *block = NULL;
    unsigned end = segments_of(s->segments, SEGMENT_PAIRS);
    take(out, s, s->pairs->pair, PAIRS);
    for (unsigned i = 0; i < end; i++) {
        const struct pair_block *one = segment_find(s->segments, i, SEGMENT_PAIRS);
        if (!one && s->window && (block || (block = malloc(sizeof *block))) &&
            state_copy_segment(s, i, SEGMENT_PAIRS, block))
            one = block;
        if (one)
            take(out, s, one->pair, PAIR_BLOCK);
    }
    free(block);
}
