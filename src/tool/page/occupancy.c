#include "tool/page/occupancy.h"

#include <stdio.h>

#include "tool/common/sentence.h"
#include "tool/common/strbuf.h"
#include "tool/common/window.h"
#include "tool/page/draw.h"
#include "tool/page/grid.h"
#include "tool/page/write.h"
#include "tool/report/find.h"

enum { ROWS = 16, COLUMNS = 72, STRIP = 18, GAP = 10, LEGEND = 44 };

static const char *const classes[1 + REPORT_CLASSES] = {"c0", "c1", "c2", "c3", "c4", "c5"};

/* --- one row --- */

static uint64_t ports_of(const struct page *p, const struct heat_row *row) {
    const struct route_key *key = &row->key;
    enum ports_from from;
    uint64_t ports = row->ports ? row->ports : report_ports(p->report, &key->to, &from);
    return larger(ports, row->peak);
}

static unsigned percent_of(const struct page *p, const struct heat_row *row, uint64_t taken) {
    uint64_t ports = ports_of(p, row);
    return ports ? (unsigned)(taken * 100 / ports) : 0;
}

/* The classes of the connect times; 0: nothing is known to be taken. */
static unsigned class_of(uint64_t taken, unsigned percent) {
    return taken == 0 ? 0 : 1 + report_class(percent);
}

static uint32_t sum_of(const struct heat_failures *f) {
    return bounded_sum(f->logged, f->remembered);
}

/* A TIME-WAIT lasts a minute: what was taken then, as long as no close says more. */
static uint32_t before(const struct heat *h, const struct heat_row *row, size_t at) {
    for (size_t i = at; i-- > 0 && (at - i) * h->width_us <= 60000000;)
        if (row->cell[i].taken)
            return row->cell[i].taken;
    return 0;
}

/* row: NULL for the calls that failed from any source. */
static struct heat_cell cell_of(const struct heat *h, const struct heat_row *row, size_t column, size_t group) {
    struct heat_cell out = {0};
    for (size_t i = column * group; i < (column + 1) * group && i < h->n; i++) {
        const struct heat_cell *c = row ? &row->cell[i] : &(struct heat_cell){.failed = sum_of(&h->all[i])};
        out.taken = c->taken > out.taken ? c->taken : out.taken;
        out.failed = bounded_sum(out.failed, c->failed);
    }
    if (row && out.taken == 0)
        out.taken = before(h, row, column * group);
    return out;
}

static void name_source(char out[160], const struct page *p, const struct heat_row *row) {
    struct strbuf s;
    char source[ADDR_TEXT];
    format_address(source, &row->key.source);
    strbuf_init(&s, out, 160);
    strbuf_text(&s, addr_is_any(&row->key.source) ? "the kernel's choice" : source);
    if (p->report->facts.n_hosts > 1)
        words_fill(&s, " on $s", p->report->facts.host[row->key.to.host % REPORT_HOSTS].name);
    (void)strbuf_finish(&s);
}

static int compare_rows(const void *left, const void *right) {
    const struct heat_row *a = left, *b = right;
    if ((a->failed > 0) != (b->failed > 0))
        return a->failed ? -1 : 1;
    return a->peak > b->peak ? -1 : a->peak < b->peak;
}

/* --- the picture --- */

struct map {
    const struct page *page;
    const void *row[ROWS];
    size_t rows, columns, group;
    double width; /* of a column, in percent */
    uint64_t column_us;
};

static struct box place_of(const struct map *m, size_t column, unsigned y) {
    return (struct box){(double)column * m->width, y, m->width, STRIP};
}

static void draw_cell(const struct map *m, const struct heat_row *row, size_t column, unsigned y) {
    struct heat_cell c = cell_of(&m->page->heat, row, column, m->group);
    struct box box = place_of(m, column, y);
    uint64_t start = m->page->heat.start_us + column * m->column_us;
    char say[160], when[DRAW_TIME];
    struct strbuf s;
    if (c.taken == 0 && c.failed == 0)
        return;
    strbuf_init(&s, say, sizeof say);
    words_fill(&s, "$s UTC: ", draw_time(when, start, m->columns * m->column_us));
    if (row)
        words_fill(&s, "$n of $n taken", (uint64_t)c.taken, ports_of(m->page, row));
    if (c.failed)
        words_fill(&s, "$s$n failed", row ? ", " : "", (uint64_t)c.failed);
    (void)strbuf_finish(&s);
    if (row)
        draw_box(m->page->out, classes[class_of(c.taken, percent_of(m->page, row, c.taken))], &box, say);
    if (c.failed)
        draw_text(m->page->out, "mark", box.x + box.width / 2, y + STRIP - 4, "\u00d7");
}

static void draw_strip(const struct map *m, const struct heat_row *row, unsigned y) {
    draw_box(m->page->out, "c0", &(struct box){0, y, 100, STRIP}, NULL);
    for (size_t i = 0; i < m->columns; i++)
        draw_cell(m, row, i, y);
    draw_box(m->page->out, "frame", &(struct box){0, y, 100, STRIP}, NULL);
}

static unsigned draw_row(const struct map *m, const struct heat_row *row, unsigned y) {
    char source[160], destination[ENDPOINT_TEXT], text[160];
    struct strbuf s;
    name_source(source, m->page, row);
    format_endpoint(destination, &row->key.to.peer, row->key.to.port);
    y = draw_pair(m->page->out, y, source, destination);
    strbuf_init(&s, text, sizeof text);
    words_fill(&s, "at most $n of $n ports taken", (uint64_t)row->peak, ports_of(m->page, row));
    if (row->failed)
        words_fill(&s, ", $n failed calls", row->failed);
    (void)strbuf_finish(&s);
    draw_text(m->page->out, "soft", 0, y += DRAW_LINE, text);
    draw_strip(m, row, y + 4);
    return y + 4 + STRIP + GAP;
}

static unsigned height_of(const struct map *m) {
    unsigned height = DRAW_LINE + 4 + STRIP + GAP + DRAW_AXIS + LEGEND;
    for (size_t i = 0; i < m->rows; i++) {
        char source[160], destination[ENDPOINT_TEXT];
        const struct heat_row *row = m->row[i];
        name_source(source, m->page, row);
        format_endpoint(destination, &row->key.to.peer, row->key.to.port);
        height += (draw_pair_lines(source, destination) + 1) * DRAW_LINE + 4 + STRIP + GAP;
    }
    return height;
}

static void draw_legend(FILE *out, unsigned y) {
    static const char *const names[] = {"0", "to 25", "to 50", "to 75", "to 90", "to 100 %"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        draw_box(out, classes[i], &(struct box){16.0 * i, y, 14, 10}, NULL);
        draw_text(out, "soft", 16.0 * i, y + 24, names[i]);
    }
    draw_text(out, "soft", 0, y + 40, "colour: percent of its ports taken; \u00d7: a call failed");
}

static void draw_map(const struct map *m, const char *about) {
    FILE *out = m->page->out;
    char title[160];
    unsigned y = DRAW_LINE;
    draw_begin(out, "occupancy-picture", height_of(m), "Occupancy of each source over time", about);
    draw_text(out, "bold", 0, y, "failed calls, all sources");
    draw_strip(m, NULL, y + 4);
    y += 4 + STRIP + GAP;
    for (size_t i = 0; i < m->rows; i++)
        y = draw_row(m, m->row[i], y);
    words_text(title, sizeof title, "time, from $t; a column is $n s", m->page->heat.start_us, m->column_us / 1000000);
    draw_time_axis(out, y - GAP + 4, m->page->heat.start_us, m->columns * m->column_us, title);
    draw_legend(out, y + DRAW_AXIS - 4);
    draw_end(out, about);
}

/* --- its table --- */

static void print_table(const struct map *m) {
    static const char *const heads[] = {"Time (UTC)", "Source",  "Destination", "#Taken at most",
                                        "#Of ports",  "#Failed", NULL};
    FILE *out = m->page->out;
    char when[DRAW_TIME], source[160], destination[ENDPOINT_TEXT];
    grid_begin(out, "Table: occupancy of each source over time", heads);
    for (size_t i = 0; i < m->rows; i++) {
        const struct heat_row *row = m->row[i];
        name_source(source, m->page, row);
        format_endpoint(destination, &row->key.to.peer, row->key.to.port);
        for (size_t column = 0; column < m->columns; column++) {
            struct heat_cell c = cell_of(&m->page->heat, row, column, m->group);
            if (c.taken == 0 && c.failed == 0)
                continue;
            grid_row(out);
            grid_text(out, draw_time(when, m->page->heat.start_us + column * m->column_us, m->columns * m->column_us));
            grid_text(out, source);
            grid_text(out, destination);
            grid_number(out, c.taken);
            grid_number(out, ports_of(m->page, row));
            grid_number(out, c.failed);
            grid_row_end(out);
        }
    }
    grid_end(out);
}

static void say_about(char out[REPORT_WORDS], const struct map *m) {
    struct strbuf s;
    size_t at = 0, all = 0;
    while (report_table_next(&m->page->heat.rows, &at))
        all++;
    strbuf_init(&s, out, REPORT_WORDS);
    strbuf_text(
        &s, "Each strip is one source address towards one destination; a cell shows the most of its ports that were "
            "taken at one time, by the log's TIME-WAITs and by what failed calls counted. Where nothing was closed, "
            "what was taken stays for a minute.");
    if (m->page->heat.by_minute)
        strbuf_text(&s, " Where the log has forgotten, it is the state file's history, minute by minute.");
    if (all > m->rows || m->page->heat.rows.evicted)
        strbuf_text(&s, " Further pairs are not shown: they failed less, or were less full.");
    (void)strbuf_finish(&s);
}

void occupancy_print(const struct page *p) {
    struct map m = {.page = p};
    char about[REPORT_WORDS];
    PAGE_WRITE(p->out, PAGE_SECTION, SLOT("id", "occupancy"), SLOT("title", "How full each source was, and when"));
    m.rows = report_table_top(&p->heat.rows, m.row, ROWS, compare_rows);
    if (m.rows == 0) {
        page_text(p->out, PAGE_NOTE,
                  "There is no picture: no connection from here was closed first in what was read, and no call "
                  "found a source without a port.");
    } else {
        m.group = heat_grouping(&p->heat, COLUMNS);
        m.columns = (p->heat.n + m.group - 1) / m.group;
        m.column_us = m.group * p->heat.width_us;
        m.width = 100.0 / (double)m.columns;
        say_about(about, &m);
        draw_map(&m, about);
        print_table(&m);
    }
    page_plain(p->out, PAGE_SECTION_END);
}
