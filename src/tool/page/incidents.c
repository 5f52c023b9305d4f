#include "tool/page/incidents.h"

#include <stdio.h>
#include <string.h>

#include "tool/common/sentence.h"
#include "tool/common/strbuf.h"
#include "tool/events/text.h"
#include "tool/page/draw.h"
#include "tool/page/grid.h"
#include "tool/page/write.h"
#include "tool/report/words.h"

enum { TOP = 2 * DRAW_LINE, WAITS = 90, FAILED = 46, BETWEEN = 34, ROW_TEXT = 96, EVENT_SHOWN = 512 };

/* A picture of times: waits above, failures below. */
struct moments {
    char id[32];
    const char *about, *axis, *unit;
    size_t n, first; /* columns; the one in which the first failure lies */
    struct story_slot column[STORY_SLOTS];
    int64_t seconds; /* of a column */
};

/* --- the picture --- */

static uint64_t most(const struct moments *m, uint64_t (*of)(const struct story_slot *)) {
    uint64_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        n = larger(n, of(&m->column[i]));
    return n;
}

static uint64_t waits(const struct story_slot *s) {
    return s->waits;
}
static uint64_t failed(const struct story_slot *s) {
    return s->failed;
}
static uint64_t recovered(const struct story_slot *s) {
    return s->recovered;
}
static uint64_t met(const struct story_slot *s) {
    return s->failed + s->recovered;
}

static const char *relative(char out[32], int64_t seconds) {
    snprintf(out, 32, "%s%lld s",
             seconds > 0   ? "+"
             : seconds < 0 ? "\u2212"
                           : "",
             (long long)(seconds < 0 ? -seconds : seconds));
    return out;
}

/* Bars of one kind, each from `from` to `to` of the highest. */
struct lane {
    unsigned bottom, height;
    const char *class, *name;
    uint64_t most;
};

static void draw_lane(FILE *out, const struct moments *m, const struct lane *lane,
                      uint64_t (*of)(const struct story_slot *), uint64_t (*below)(const struct story_slot *)) {
    double width = 100.0 / (double)m->n;
    char text[ROW_TEXT];
    for (size_t i = 0; i < m->n; i++) {
        uint64_t n = of(&m->column[i]), under = below ? below(&m->column[i]) : 0;
        if (n == 0)
            continue;
        double height = (double)n * lane->height / (double)lane->most, shown = height < 2 ? 2 : height;
        double base = (double)under * lane->height / (double)lane->most;
        words_text(text, sizeof text, "$n $s", n, lane->name);
        draw_box(out, lane->class,
                 &(struct box){(double)i * width + 0.1 * width, lane->bottom - base - shown, 0.8 * width, shown}, text);
    }
}

static void draw_scale(FILE *out, unsigned top, unsigned height, uint64_t most_of, const char *what) {
    char number[GROUPED_TEXT], text[ROW_TEXT];
    words_text(text, sizeof text, "$s: up to $s", what, grouped(number, most_of));
    draw_text(out, "bold", 0, top - 5, text);
    draw_line(out, "grid", &(struct box){0, top, 100, 0});
    draw_line(out, "axis", &(struct box){0, top + height, 100, 0});
}

static void draw_moments(FILE *out, const struct moments *m) {
    unsigned below = TOP + WAITS + BETWEEN, bottom = below + FAILED;
    uint64_t most_waits = most(m, waits), most_met = most(m, met);
    char text[ROW_TEXT], time[32];
    double width = 100.0 / (double)m->n, zero = ((double)m->first + 0.5) * width;
    draw_begin(out, m->id, bottom + 2 * DRAW_LINE + 8, "Closes and failures around the first failure", m->about);
    words_text(text, sizeof text, "closes that left a TIME-WAIT, in $s", m->unit);
    draw_scale(out, TOP, WAITS, most_waits, text);
    draw_scale(out, below, FAILED, most_met, "calls failed and (light) recovered");
    draw_line(out, "cliff", &(struct box){zero, TOP, 0, bottom - TOP});
    draw_lane(out, m, &(struct lane){TOP + WAITS, WAITS, "c3", "closes that left a TIME-WAIT", most_waits}, waits,
              NULL);
    draw_lane(out, m, &(struct lane){bottom, FAILED, "bad", "failed", most_met}, failed, NULL);
    draw_lane(out, m, &(struct lane){bottom, FAILED, "c2", "recovered", most_met}, recovered, failed);
    draw_text(out, "soft", 0, bottom + DRAW_LINE, relative(time, -(int64_t)m->first * m->seconds));
    draw_text(out, "soft middle", zero, bottom + DRAW_LINE, "0");
    if (m->first + 1 < m->n)
        draw_text(out, "soft end", 100, bottom + DRAW_LINE,
                  relative(time, (int64_t)(m->n - 1 - m->first) * m->seconds));
    draw_text(out, "soft", 0, bottom + 2 * DRAW_LINE, m->axis);
    draw_end(out, m->about);
}

static void print_table(FILE *out, const struct moments *m, unsigned number) {
    static const char *const heads[] = {"#From the first failure on", "#Closes that left a TIME-WAIT", "#Failed",
                                        "#Recovered", NULL};
    char caption[ROW_TEXT], time[32];
    snprintf(caption, sizeof caption, "Table: around the first failure of incident %u", number);
    grid_begin(out, caption, heads);
    for (size_t i = 0; i < m->n; i++) {
        grid_row(out);
        grid_text(out, relative(time, ((int64_t)i - (int64_t)m->first) * m->seconds));
        grid_number(out, m->column[i].waits);
        grid_number(out, m->column[i].failed);
        grid_number(out, m->column[i].recovered);
        grid_row_end(out);
    }
    grid_end(out);
}

/* --- from a story, or from the history --- */

static bool any(const struct moments *m) {
    return most(m, waits) + most(m, met) > 0;
}

static bool by_story(struct moments *m, const struct story *story) {
    if (!story)
        return false;
    m->n = STORY_SLOTS;
    m->first = WINDOW_SLOTS - 1;
    m->seconds = WINDOW_SLOT_US / 1000000;
    m->unit = "4 s";
    m->axis = "time from the first failure on, in seconds; a column is 4 s";
    m->about = "Each column is 4 s, of the minute before the first failure and the minute after it: closes towards its "
               "destination that left a TIME-WAIT, and calls that found no port.";
    memcpy(m->column, story->slot, sizeof m->column);
    return any(m);
}

static bool by_minutes(struct moments *m, const struct incident *i) {
    m->n = WINDOW_MINUTES;
    m->first = WINDOW_MINUTES - 1;
    m->seconds = 60;
    m->unit = "a minute";
    m->axis = "time from the first failure on, in seconds; a column is a minute";
    m->about =
        "No event tells of it any more, but the state file's history: each column is a minute, up to that of the "
        "first failure.";
    for (unsigned minute = 0; minute < WINDOW_MINUTES; minute++)
        m->column[minute] = (struct story_slot){.waits = moment_waits(i, minute)};
    m->column[m->first].failed = larger(i->failed, i->history.failed);
    return any(m);
}

/* --- events as the log prints them --- */

static void say_when(char out[32], uint64_t us, uint64_t zero_us) {
    uint64_t apart = us < zero_us ? zero_us - us : us - zero_us;
    snprintf(out, 32, "%s%llu.%03llu s", us < zero_us ? "\u2212" : "+", (unsigned long long)(apart / 1000000),
             (unsigned long long)(apart / 1000 % 1000));
}

/* The line without its time; what a connect tried is in the lines that follow, and in the numbers above. */
static void print_event(FILE *out, const struct story_event *event, uint64_t zero_us, bool first) {
    char line[EVENT_LINE_MAX], when[32];
    int length = event_text(&event->record, &event->context, line, sizeof line);
    const char *text = length > 0 ? strchr(line, ' ') : NULL;
    if (!text)
        return;
    line[strcspn(line, "\n") < EVENT_SHOWN ? strcspn(line, "\n") : EVENT_SHOWN] = 0;
    text += strspn(text, " ");
    say_when(when, event->record.e.time_us, zero_us);
    PAGE_WRITE(out, first ? PAGE_EVENT_FIRST : PAGE_EVENT, SLOT("when", when), SLOT("text", text));
}

static void print_events(const struct page *p, const struct story *story) {
    if (!story || story->n_after == 0) {
        page_text(p->out, PAGE_NOTE,
                  "Its events are not listed: they are in none of the files that were read, or too many incidents came "
                  "before it.");
        return;
    }
    uint64_t zero = story->after[0].record.e.time_us;
    page_text(p->out, PAGE_PARAGRAPH, "The events around the first one (bold), in seconds from it:");
    page_plain(p->out, PAGE_EVENTS);
    for (unsigned i = 0; i < story->n_before; i++)
        print_event(p->out, &story->before[i], zero, false);
    for (unsigned i = 0; i < story->n_after; i++)
        print_event(p->out, &story->after[i], zero, i == 0);
    page_plain(p->out, PAGE_EVENTS_END);
}

/* --- all of one --- */

static void print_because(FILE *out, const struct finding *f) {
    char text[REPORT_WORDS];
    unsigned said = 0;
    for (unsigned i = 0; i < REPORT_BECAUSE; i++) {
        if (!words_because(text, f, i))
            continue;
        if (said++ == 0)
            page_plain(out, PAGE_LIST);
        page_text(out, PAGE_ITEM, text);
    }
    if (said)
        page_plain(out, PAGE_LIST_END);
}

static void print_one(const struct page *p, const struct finding *f, unsigned number) {
    static struct moments m;
    char text[REPORT_WORDS];
    const struct story *story = stories_find(&p->stories, &f->incident->key);
    memset(&m, 0, sizeof m);
    snprintf(m.id, sizeof m.id, "incident-%u-picture", number);
    words_text(text, sizeof text, "Incident $n: $s$s$s", (uint64_t)number, conclusion_name(f->conclusion.kind),
               f->destination[0] ? ", " : "", f->destination);
    page_text(p->out, PAGE_HEADING, text);
    words_summary(text, f);
    page_text(p->out, PAGE_PARAGRAPH, text);
    print_because(p->out, f);
    if (f->evidence.quiet) {
        page_text(p->out, PAGE_NOTE, "There is no timeline: no call failed, so that there is no first failure.");
        return;
    }
    if (story ? by_story(&m, story) : by_minutes(&m, f->incident)) {
        draw_moments(p->out, &m);
        print_table(p->out, &m, number);
    } else {
        page_text(p->out, PAGE_NOTE, "There is no picture: no close is known from around its beginning.");
    }
    print_events(p, story);
}

void incidents_print(const struct page *p) {
    const struct report *r = p->report;
    char text[REPORT_WORDS];
    PAGE_WRITE(p->out, PAGE_SECTION, SLOT("id", "incidents"), SLOT("title", "What happened"));
    if (r->n_findings == 0)
        page_text(p->out, PAGE_NOTE, "There was no incident, so that there is no timeline of one.");
    for (unsigned i = 0; i < page_incidents(p); i++)
        print_one(p, &r->finding[i], i + 1);
    if (r->n_findings > page_incidents(p)) {
        page_text(p->out, PAGE_HEADING, "Further incidents");
        page_plain(p->out, PAGE_LIST);
        for (unsigned i = page_incidents(p); i < r->n_findings; i++) {
            words_verdict(text, &r->finding[i]);
            page_text(p->out, PAGE_ITEM, text);
        }
        page_plain(p->out, PAGE_LIST_END);
    }
    page_plain(p->out, PAGE_SECTION_END);
}
