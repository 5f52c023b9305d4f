#include "tool/stat/down.h"

#include <string.h>

#include "tool/stat/model.h"
#include "state/pair.h"
#include "base/sys.h"
#include "state/control.h"

static unsigned seconds_until(uint64_t until, uint64_t now) {
    uint64_t ns = until > now ? until - now : 0, most = (uint64_t)DOWN_MAX_MS * 1000000;
    return (unsigned)(((ns < most ? ns : most) + 999999999) / 1000000000);
}

void stat_take_downs(struct stat_report *out, const struct state *s) {
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < PAIRS; i++) {
        const struct pair p = s->pair[i];
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
