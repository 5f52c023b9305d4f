#include "tool/reaper/preview.h"

#include <stdlib.h>

#include "base/sys.h"
#include "state/boot.h"
#include "state/copy.h"
#include "tool/host/netns.h"
#include "tool/host/owner.h"
#include "tool/reaper/reaper.h"
#include "tool/reaper/round.h"

static int by_time(const void *left, const void *right) {
    const struct event *a = left, *b = right;
    return (a->time_us > b->time_us) - (a->time_us < b->time_us);
}

void preview_find(struct preview *out, const struct state *s) {
    enum { SECTIONS_NEEDED = COPY(SECTION_OPEN_TABLE) | COPY(SECTION_DEDUP) };
    struct reaper h = {.lock = -1, .netns = netns_cookie(), .pid_namespace = owner_namespace(), .boot = boot_number()};
    struct round r = {.h = &h, .s = s, .preview = out, .now_ns = clock_ns(CLOCK_REALTIME)};
    *out = (struct preview){0};
    if (h.pid_namespace == 0 || !boot_made(s->header, h.boot) || !state_copy_again(s, SECTIONS_NEEDED))
        return;
    if (!round_begin(&r)) {
        reaper_end(&h);
        return;
    }
    round_visit(&r);
    /* The heads of the rings after the open table: what has left that by now has its event before them. */
    if (state_copy_again(s, 0))
        round_settle(&r);
    state_copy_drop(s, SECTION_OPEN_TABLE);
    state_copy_drop(s, SECTION_DEDUP);
    if (out->n)
        qsort(out->event, out->n, sizeof *out->event, by_time);
    round_end(&r);
    reaper_end(&h);
}

void preview_free(struct preview *u) {
    free(u->event);
    *u = (struct preview){0};
}
