#include "tool/page/connect_time.h"

#include <stdio.h>

#include "tool/common/sentence.h"
#include "tool/page/draw.h"
#include "tool/page/grid.h"
#include "tool/page/write.h"

enum { TOP = 24, DECADE = 36, FOOT = 44, CLIFF = 3, DECADES_MAX = 8 };

static const char *const names[REPORT_CLASSES] = {"under 25", "25 to 50", "50 to 75", "75 to 90", "90 to 100"};
static const char about[] =
    "The mean time that a connect() took, by how many percent of its source's ports were taken in that minute, as the "
    "state file's history has it. The scale is logarithmic. Where each further class is much slower than the one "
    "before, the kernel searches long for a free port.";

static uint64_t mean_us(const struct report *r, unsigned class) {
    uint64_t n = r->by_occupancy[class].connects, mean = n ? r->by_occupancy[class].connect_us / n : 0;
    return n && mean == 0 ? 1 : mean;
}

/* The class from which on connects take several times as long as in the one before that has any; 0: there is none. */
static unsigned find_cliff(const struct report *r, double *times) {
    unsigned cliff = 0;
    uint64_t before = 0;
    *times = CLIFF;
    for (unsigned i = 0; i < REPORT_CLASSES; i++) {
        uint64_t mean = mean_us(r, i);
        if (before && mean && (double)mean / (double)before >= *times) {
            *times = (double)mean / (double)before;
            cliff = i;
        }
        before = mean ? mean : before;
    }
    return cliff;
}

/* Of 10^k us. */
static const char *decade_name(unsigned k) {
    static const char *const name[DECADES_MAX + 1] = {"1 us",   "10 us", "100 us", "1 ms", "10 ms",
                                                      "100 ms", "1 s",   "10 s",   "100 s"};
    return name[k];
}

/* Pixels above the axis: one DECADE for each power of ten above 1 us. The digits of a logarithm behind the point come
 * from squaring: the tool needs no libm. */
static double height_of(uint64_t us) {
    double left = (double)us, log = 0, digit = 1;
    while (left >= 10) {
        left /= 10;
        log++;
    }
    for (unsigned i = 0; i < 10; i++) {
        left *= left;
        digit /= 2;
        if (left >= 10) {
            left /= 10;
            log += digit;
        }
    }
    return log * DECADE;
}

static unsigned decades(const struct report *r) {
    uint64_t most = 1;
    unsigned n = 0;
    for (unsigned i = 0; i < REPORT_CLASSES; i++)
        most = larger(most, mean_us(r, i));
    for (uint64_t limit = 1; limit < most && n < DECADES_MAX; limit *= 10)
        n++;
    return n ? n : 1;
}

static void draw_bar(FILE *out, const struct report *r, unsigned class, unsigned bottom) {
    double x = 20.0 * class, height = height_of(mean_us(r, class));
    char text[96];
    words_text(text, sizeof text, "$n us", mean_us(r, class));
    draw_text(out, "soft middle", x + 10, bottom + DRAW_LINE, names[class]);
    if (!r->by_occupancy[class].connects)
        return;
    draw_box(out, "c4", &(struct box){x + 3, bottom - height, 14, height}, text);
    draw_text(out, "bold middle", x + 10, bottom - height - 4, text);
}

static void draw(const struct page *p) {
    const struct report *r = p->report;
    unsigned n = decades(r), bottom = TOP + DECADE * n + DRAW_LINE, cliff;
    double times;
    draw_begin(p->out, "connect-picture", bottom + FOOT, "Time inside connect() by occupancy", about);
    for (unsigned k = 0; k <= n; k++) {
        unsigned y = bottom - DECADE * k;
        draw_line(p->out, "grid", &(struct box){0, y, 100, 0});
        if (k)
            draw_text(p->out, "soft", 0, y - 2, decade_name(k));
    }
    for (unsigned i = 0; i < REPORT_CLASSES; i++)
        draw_bar(p->out, r, i, bottom);
    cliff = find_cliff(r, &times);
    if (cliff) {
        char text[64];
        words_text(text, sizeof text, "from here $d times as long", times);
        draw_line(p->out, "cliff", &(struct box){20.0 * cliff, 4, 0, bottom - 4});
        draw_text(p->out, cliff > 2 ? "bold end" : "bold", 20.0 * cliff + (cliff > 2 ? -1 : 1), 14, text);
    }
    draw_line(p->out, "axis", &(struct box){0, bottom, 100, 0});
    draw_text(p->out, "soft", 0, bottom + 2 * DRAW_LINE, "percent of its source's ports that were taken");
    draw_end(p->out, about);
}

static void print_table(const struct page *p) {
    static const char *const heads[] = {"Percent taken", "#Connects", "#Mean, us", NULL};
    grid_begin(p->out, "Table: time inside connect() by occupancy", heads);
    for (unsigned i = 0; i < REPORT_CLASSES; i++) {
        grid_row(p->out);
        grid_text(p->out, names[i]);
        grid_number(p->out, p->report->by_occupancy[i].connects);
        if (p->report->by_occupancy[i].connects)
            grid_number(p->out, mean_us(p->report, i));
        else
            grid_text(p->out, "none");
        grid_row_end(p->out);
    }
    grid_end(p->out);
}

void connect_time_print(const struct page *p) {
    uint64_t any = 0;
    PAGE_WRITE(p->out, PAGE_SECTION, SLOT("id", "connect"), SLOT("title", "How long connect() took"));
    for (unsigned i = 0; i < REPORT_CLASSES; i++)
        any |= p->report->by_occupancy[i].connects;
    if (any) {
        draw(p);
        print_table(p);
    } else {
        page_text(
            p->out, PAGE_NOTE,
            "There is no picture: the times lie in the history that a state file keeps for 24 hours, and what was "
            "read has none. Try: connspread report -o html -c CONF, on the host itself.");
    }
    page_plain(p->out, PAGE_SECTION_END);
}
