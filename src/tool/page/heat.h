/* heat.h - how full each source was towards each destination, over any span of time, in bounded memory. */
#ifndef CONNSPREAD_TOOL_PAGE_HEAT_H
#define CONNSPREAD_TOOL_PAGE_HEAT_H

#include "state/history.h"
#include "tool/common/table.h"
#include "tool/events/format.h"
#include "tool/report/facts.h"

enum { HEAT_COLUMNS = 240, HEAT_SETS = 16 };

struct heat_cell {
    uint32_t taken; /* the most quadruplets at one time */
    uint32_t failed;
};
struct heat_row {
    struct report_entry entry;
    struct route_key key; /* source ::, the kernel's choice */
    uint32_t ports;       /* by the events; 0: they do not say */
    uint32_t peak;
    uint64_t failed;
    struct heat_cell cell[HEAT_COLUMNS];
};
/* Calls that failed, of whatever source: by events, and by a history where no event tells of this minute. */
struct heat_failures {
    uint32_t logged, remembered;
};
/* Columns begin with a second each; whenever the span outgrows them, they become coarser. */
struct heat {
    uint64_t start_us, width_us; /* width_us 0: nothing in it */
    size_t n;
    struct report_table rows;
    struct heat_failures all[HEAT_COLUMNS];
    bool by_minute; /* some of it comes from a history */
};

bool heat_init(struct heat *h);
void heat_free(struct heat *h);

/* An event that the facts have taken. */
void heat_take(struct heat *h, struct facts *f, const struct event_record *r, const struct event_context *context);

/* A minute of a history, which ends at until_us at the latest: it fills what no event of this minute has. */
void heat_remember(struct heat *h, const struct route_key *key, const struct history_counts *n, uint64_t minute,
                   uint64_t until_us);

/* Of how many columns one is made so that at most max are left, and each is a round span. */
size_t heat_grouping(const struct heat *h, size_t max);

#endif
