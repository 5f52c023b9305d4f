#include "tool/stat/live_print.h"

#include <stdlib.h>
#include <string.h>

#include "tool/common/override.h"
#include "tool/common/sentence.h"
#include "tool/common/strbuf.h"
#include "tool/events/names.h"
#include "tool/screen/columns.h"
#include "tool/screen/wrap.h"
#include "tool/stat/compare.h"
#include "tool/stat/text.h"

enum { BAR = 10, BAR_WIDE = 20, WIDE = 120, INCIDENTS_LEAST = 2, INCIDENTS_SHARE = 4 };

/* A row with what is known of its source. */
struct shown {
    const struct stat_row *row;
    const struct stat_occupancy *occupancy; /* NULL: not known */
    double percent;
};

static struct shown look_up(const struct stat_report *r, const struct stat_row *row) {
    struct shown s = {.row = row};
    for (unsigned i = 0; i < r->n_occupancies && !s.occupancy; i++)
        if (strcmp(r->occupancy[i].rule, row->rule) == 0 && strcmp(r->occupancy[i].source, row->source) == 0)
            s.occupancy = &r->occupancy[i];
    if (s.occupancy && s.occupancy->capacity)
        s.percent = 100 * (double)s.occupancy->taken / (double)s.occupancy->capacity;
    return s;
}

static int fullest_first(const void *left, const void *right) {
    const struct shown *a = left, *b = right;
    if (a->percent > b->percent || a->percent < b->percent)
        return a->percent > b->percent ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static void rate_cell(struct columns *t, uint64_t n, double seconds, enum colour colour) {
    char text[GROUPED_TEXT];
    struct strbuf s;
    strbuf_init(&s, text, sizeof text);
    if (seconds <= 0) /* the first look: since when is not known */
        strbuf_text(&s, "-");
    else if (n == 0)
        strbuf_text(&s, "0");
    else
        words_fill(&s, "$d", (double)n / seconds);
    (void)strbuf_finish(&s);
    columns_cell_in(t, n ? colour : COLOUR_NONE, text);
}

static void time_cell(struct columns *t, const struct stat_row *row, double quantile) {
    char text[STAT_TIME_TEXT] = "-";
    if (histogram_count(row->bucket))
        stat_time_text(text, histogram_quantile_us(row->bucket, quantile));
    columns_cell(t, text);
}

/* "[######....]  61.2 %" */
static void bar_cell(struct columns *t, const struct shown *s, unsigned room) {
    char text[BAR_WIDE + 32] = "-";
    unsigned marks = s->percent >= 100 ? room : (unsigned)(s->percent * room / 100 + 0.5);
    if (s->occupancy && s->occupancy->capacity) {
        text[0] = '[';
        memset(text + 1, '#', marks);
        memset(text + 1 + marks, '.', room - marks);
        snprintf(text + 1 + room, sizeof text - 1 - room, "] %5.1f %%", s->percent);
    }
    columns_cell_in(t, screen_share_colour(s->percent), text);
}

static void put_row(struct columns *t, const struct shown *s, double seconds, unsigned bar) {
    const uint64_t *n = s->row->counter;
    char rule[STAT_RULE_TEXT];
    columns_cell(t, stat_rule_text(rule, s->row->rule));
    columns_cell(t, s->row->source);
    columns_cell(t, event_name(NAMES_ARM, s->row->arm));
    rate_cell(t, n[STAT_CONNECTS], seconds, COLOUR_NONE);
    rate_cell(t, n[STAT_FAILED], seconds, COLOUR_BAD);
    rate_cell(t, n[STAT_RECOVERED] + n[STAT_FALLBACK], seconds, COLOUR_WARNING);
    rate_cell(t, n[STAT_CLOSED + FATE_TIME_WAIT], seconds, COLOUR_NONE);
    time_cell(t, s->row, 0.5);
    time_cell(t, s->row, 0.99);
    columns_number(t, s->occupancy ? s->occupancy->taken : 0);
    bar_cell(t, s, bar);
}

static void put_sources(const struct stat_report *r, double seconds, const struct screen *to) {
    static const struct column column[] = {
        {"rule", 8, .right = false},        {"source", 15, .right = false},
        {"arm", 7, .right = false},         {"connects/s", 10, .right = true},
        {"failed/s", 8, .right = true},     {"recovered/s", 11, .right = true, .may_go = true},
        {"waits/s", 8, .right = true},      {"p50", 7, .right = true},
        {"p99", 7, .right = true},          {"taken", 7, .right = true},
        {"of its ports", 0, .right = false}};
    struct columns *t = columns_begin(column, sizeof column / sizeof *column, 0, 1);
    struct shown *shown = calloc(r->n_rows + 1, sizeof *shown);
    for (unsigned i = 0; shown && i < r->n_rows; i++)
        shown[i] = look_up(r, &r->row[i]);
    if (shown)
        qsort(shown, r->n_rows, sizeof *shown, fullest_first);
    for (unsigned i = 0; shown && i < r->n_rows; i++)
        put_row(t, &shown[i], seconds, to->width == 0 || to->width >= WIDE ? BAR_WIDE : BAR);
    columns_print(t, to);
    free(shown);
}

static void put_down(const struct stat_down *d, const struct screen *to) {
    if (strcmp(d->source, STAT_ENDPOINT) == 0)
        wrap_printf(to, SCREEN_HANG, "%s is marked down: it did not answer", d->destination);
    else
        wrap_printf(to, SCREEN_HANG, "%s is marked down for %s: not answered", d->source, d->destination);
}

static void put_instance(const struct watched *w, const struct screen *to) {
    const struct stat_report *r = w->since ? w->since : w->before;
    char name[STATE_INSTANCE + 1], mode[OVERRIDE_TEXT];
    struct strbuf s;
    strbuf_init(&s, name, sizeof name);
    strbuf_plain(&s, r->instance, sizeof r->instance);
    (void)strbuf_finish(&s);
    override_text(mode, r->control, r->has_policy ? &r->settings : NULL);
    wrap_printf(to, SCREEN_HANG, "%s (uid %u): %s%s", name, r->uid, mode, r->n_rows ? "" : "; no connect yet");
    if (r->n_rows)
        put_sources(r, w->since ? w->seconds : 0, to);
    for (unsigned i = 0; i < r->n_downs && i < STAT_DOWNS; i++)
        put_down(&r->down[i], to);
}

/* The first lines of text, as many as there is room for; the last of them says that there are more. */
static void put_clipped(const struct screen *to, const char *text, unsigned lines) {
    unsigned left = 0;
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        left++;
    for (bool all = lines == 0 || left <= lines; *text && (all || lines > 1); lines--, left--) {
        size_t length = strcspn(text, "\n") + 1;
        (void)fwrite(text, 1, length, to->out);
        text += length;
    }
    if (*text)
        wrap_printf(to, SCREEN_HANG, "(%u more lines)", left);
}

static int oldest_first(const void *left, const void *right) {
    const struct watched_incident *const *a = left, *const *b = right;
    return (*a)->time_us < (*b)->time_us ? -1 : (*a)->time_us > (*b)->time_us;
}

static void put_incidents(const struct watched_incident **all, unsigned n, unsigned room, const struct screen *to) {
    fputs(n ? "\nlast incidents\n" : "\nno incidents\n", to->out);
    for (unsigned i = n > room ? n - room : 0; i < n; i++)
        wrap_cut(to, all[i]->text, (struct wrap_paint){all[i]->colour, all[i]->from, all[i]->length});
}

void stat_live_print(struct watched *const *watched, unsigned n, unsigned more, const struct screen *to,
                     unsigned lines) {
    const struct watched_incident **all = calloc((size_t)n * WATCHED_INCIDENTS + 1, sizeof(struct watched_incident *));
    struct screen upper = *to;
    char *text = NULL;
    size_t size = 0;
    unsigned incidents = 0, room = lines ? lines / INCIDENTS_SHARE : WATCHED_INCIDENTS;
    upper.out = open_memstream(&text, &size);
    if (upper.out && more)
        wrap_printf(&upper, SCREEN_HANG, "%u more instance%s than these %u; try: -i with the name of one\n", more,
                    more == 1 ? "" : "s", n);
    for (unsigned i = 0; i < n && upper.out; i++) {
        fputs(i ? "\n" : "", upper.out);
        put_instance(watched[i], &upper);
        for (unsigned j = 0; all && j < WATCHED_INCIDENTS && j < watched[i]->incidents; j++)
            all[incidents++] = &watched[i]->incident[j];
    }
    if (upper.out && n == 0)
        wrap_printf(
            &upper, SCREEN_HANG,
            "no instance that a process runs under now, as far as this user can see; try: connspread ls, and -i "
            "with the name of one that is over");
    room = room < INCIDENTS_LEAST ? INCIDENTS_LEAST : room;
    room = room < incidents ? room : incidents;
    if (upper.out && fclose(upper.out) == 0)
        put_clipped(to, text, lines > room + 2 ? lines - room - 2 : lines);
    if (all && incidents)
        qsort(all, incidents, sizeof(struct watched_incident *), oldest_first);
    if (all)
        put_incidents(all, incidents, room, to);
    free(text);
    free(all);
}
