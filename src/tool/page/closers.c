#include "tool/page/closers.h"

#include <stdio.h>
#include <string.h>

#include "tool/common/sentence.h"
#include "tool/common/strbuf.h"
#include "tool/page/draw.h"
#include "tool/page/grid.h"
#include "tool/page/write.h"
#include "tool/report/words.h"

enum { ROWS = 10, LISTED = 100, BAR = 16, GAP = 10, LEGEND = 44 };

static const char about[] =
    "Each bar is one program towards one destination. The dark part is for connections that the program closed first: "
    "each left a TIME-WAIT here, which keeps its port for 60 s. The light part is for those that the other end closed "
    "first, or that ended otherwise. They are logged under closes = \"all\"; else only the state file's history counts "
    "them.";

static uint64_t all_closes(const struct flow *f) {
    return flow_waits(f) + flow_otherwise(f);
}

static int compare(const void *left, const void *right) {
    uint64_t a = all_closes(left), b = all_closes(right);
    if (a == b) {
        a = flow_failed(left);
        b = flow_failed(right);
    }
    return a > b ? -1 : a < b;
}

static void name_flow(const struct page *p, const struct flow *f, char program[128], char destination[ENDPOINT_TEXT]) {
    const struct facts *facts = &p->report->facts;
    char name[EVENT_PROGRAM + 1];
    program_text(name, f->key.program);
    words_text(program, 128, facts->n_hosts > 1 ? "$s on $s" : "$s", name,
               facts->host[f->key.to.host % REPORT_HOSTS].name);
    words_flow(destination, f);
}

static unsigned draw_flow(const struct page *p, const struct flow *f, uint64_t most, unsigned y) {
    char program[128], destination[ENDPOINT_TEXT], text[160];
    struct strbuf s;
    double first = most ? 100.0 * (double)flow_waits(f) / (double)most : 0;
    double other = most ? 100.0 * (double)flow_otherwise(f) / (double)most : 0;
    name_flow(p, f, program, destination);
    y = draw_pair(p->out, y, program, destination);
    strbuf_init(&s, text, sizeof text);
    words_fill(&s, "$n closed first here, $n otherwise", flow_waits(f), flow_otherwise(f));
    if (flow_failed(f))
        words_fill(&s, "; $n failed", flow_failed(f));
    (void)strbuf_finish(&s);
    draw_text(p->out, "soft", 0, y += DRAW_LINE, text);
    draw_box(p->out, "c4", &(struct box){0, y + 4, first, BAR}, text);
    draw_box(p->out, "c2", &(struct box){first, y + 4, other, BAR}, text);
    return y + 4 + BAR + GAP;
}

static void draw(const struct page *p, const void *const *row, size_t n, uint64_t most) {
    unsigned height = DRAW_AXIS + LEGEND, y = 0;
    char program[128], destination[ENDPOINT_TEXT], number[GROUPED_TEXT];
    for (size_t i = 0; i < n; i++) {
        name_flow(p, row[i], program, destination);
        height += (draw_pair_lines(program, destination) + 1) * DRAW_LINE + 4 + BAR + GAP;
    }
    draw_begin(p->out, "closers-picture", height, "Which programs closed first, by destination", about);
    for (size_t i = 0; i < n; i++)
        y = draw_flow(p, row[i], most, y);
    draw_line(p->out, "axis", &(struct box){0, y, 100, 0});
    draw_text(p->out, "soft", 0, y + DRAW_LINE, "0");
    draw_text(p->out, "soft middle", 50, y + DRAW_LINE, "connections closed");
    draw_text(p->out, "soft end", 100, y + DRAW_LINE, grouped(number, most));
    draw_box(p->out, "c4", &(struct box){0, y + DRAW_AXIS - 10, 6, 10}, NULL);
    draw_text(p->out, "soft", 8, y + DRAW_AXIS, "closed first here: a TIME-WAIT");
    draw_box(p->out, "c2", &(struct box){0, y + DRAW_AXIS + 10, 6, 10}, NULL);
    draw_text(p->out, "soft", 8, y + DRAW_AXIS + 20, "by the other end, or otherwise");
    draw_end(p->out, about);
}

static void print_table(const struct page *p, const void *const *row, size_t n) {
    static const char *const heads[] = {"Program", "Destination", "#Closed first", "#Otherwise", "#Failed", NULL};
    char program[128], destination[ENDPOINT_TEXT];
    grid_begin(p->out, "Table: which programs closed first", heads);
    for (size_t i = 0; i < n; i++) {
        name_flow(p, row[i], program, destination);
        grid_row(p->out);
        grid_text(p->out, program);
        grid_text(p->out, destination);
        grid_number(p->out, flow_waits(row[i]));
        grid_number(p->out, flow_otherwise(row[i]));
        grid_number(p->out, flow_failed(row[i]));
        grid_row_end(p->out);
    }
    grid_end(p->out);
}

void closers_print(const struct page *p) {
    const void *row[LISTED];
    size_t n = report_table_top(&p->report->facts.flows, row, LISTED, compare), drawn = 0;
    PAGE_WRITE(p->out, PAGE_SECTION, SLOT("id", "closers"), SLOT("title", "Which end closed first"));
    while (drawn < n && drawn < ROWS && all_closes(row[drawn]))
        drawn++;
    if (drawn)
        draw(p, row, drawn, all_closes(row[0]));
    else
        page_text(p->out, PAGE_NOTE, "There is no picture: no close was logged in what was read.");
    if (n)
        print_table(p, row, n);
    page_plain(p->out, PAGE_SECTION_END);
}
