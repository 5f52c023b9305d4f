#include "tool/page/held.h"

#include <stdio.h>

#include "tool/common/sentence.h"
#include "tool/common/strbuf.h"
#include "tool/page/draw.h"
#include "tool/page/grid.h"
#include "tool/page/write.h"
#include "tool/report/causes.h"

enum { BAR = 16, GAP = 10 };

static const char about[] =
    "Each bar is a share of the ports of all sources that the connect could use, when the incident began.";

/* --- shares --- */

static void say_share(char out[REPORT_WORDS], const struct finding *f, const struct share *share) {
    struct strbuf s;
    strbuf_init(&s, out, REPORT_WORDS);
    words_fill(&s, "$n % ($n): ", (uint64_t)share->percent, share->quadruplets);
    causes_say_share(&s, f, share->kind);
    (void)strbuf_finish(&s);
}

/* In two lines where a phone has no room for one. Returns the y that follows. */
static unsigned draw_label(FILE *out, unsigned y, const char *text) {
    enum { LETTERS = 50 };
    size_t length = 0, end = 0;
    char line[LETTERS + 1];
    struct strbuf s;
    for (const char *rest = text; *rest; rest += length) {
        rest += *rest == ' ';
        for (length = end = 0; end < LETTERS && rest[end]; end++)
            length = rest[end] == ' ' ? end : length;
        length = rest[end] && length ? length : end;
        strbuf_init(&s, line, sizeof line);
        strbuf_bytes(&s, rest, length);
        (void)strbuf_finish(&s);
        if (out)
            draw_text(out, "bold", 0, y + DRAW_LINE, line);
        y += DRAW_LINE;
    }
    return y;
}

static unsigned height_of(const struct finding *f) {
    char text[REPORT_WORDS];
    unsigned height = DRAW_LINE + 8;
    for (unsigned i = 0; i < f->conclusion.n_shares; i++) {
        say_share(text, f, &f->conclusion.share[i]);
        height = draw_label(NULL, height, text) + 4 + BAR + GAP;
    }
    return height;
}

static void draw(FILE *out, const struct finding *f, unsigned number) {
    char id[32], text[REPORT_WORDS], all[GROUPED_TEXT];
    unsigned y = 0;
    snprintf(id, sizeof id, "held-%u-picture", number);
    draw_begin(out, id, height_of(f), "What had the ports", about);
    for (unsigned i = 0; i < f->conclusion.n_shares; i++) {
        const struct share *share = &f->conclusion.share[i];
        say_share(text, f, share);
        y = draw_label(out, y, text);
        draw_box(out, "c0", &(struct box){0, y + 4, 100, BAR}, NULL);
        draw_box(out, i == 0 ? "c4" : "c3", &(struct box){0, y + 4, share->percent, BAR}, text);
        y += 4 + BAR + GAP;
    }
    draw_text(out, "soft", 0, y + DRAW_LINE, "0");
    draw_text(out, "soft middle", 50, y + DRAW_LINE, "ports taken");
    draw_text(out, "soft end", 100, y + DRAW_LINE, grouped(all, f->conclusion.capacity));
    draw_end(out, about);
}

static void print_shares(FILE *out, const struct finding *f, unsigned number) {
    static const char *const heads[] = {"What", "Program", "#Ports", "#Percent", NULL};
    char caption[64];
    snprintf(caption, sizeof caption, "Table: what had the ports in incident %u", number);
    grid_begin(out, caption, heads);
    for (unsigned i = 0; i < f->conclusion.n_shares; i++) {
        const struct share *share = &f->conclusion.share[i];
        const char *program = causes_program(f, share->kind);
        grid_row(out);
        grid_text(out, conclusion_name(share->kind));
        grid_text(out, program[0] ? program : "not known");
        grid_number(out, share->quadruplets);
        grid_number(out, share->percent);
        grid_row_end(out);
    }
    grid_end(out);
}

/* --- processes --- */

static void print_process(FILE *out, const char *name, const char *what, uint64_t n) {
    grid_row(out);
    grid_text(out, name);
    grid_text(out, what);
    grid_number(out, n);
    grid_row_end(out);
}

static void print_holder(FILE *out, const struct holder *h, const char *what) {
    char text[128], pid[16];
    if (!h->pid)
        return;
    snprintf(pid, sizeof pid, "%u", h->pid);
    words_text(text, sizeof text, "$s (pid $s)", h->name, pid);
    print_process(out, text, what, h->ports);
}

static bool has_processes(const struct finding *f) {
    return f->incident->first.closer[0].waits || f->binder.pid || f->connected.pid;
}

static void print_processes(FILE *out, const struct finding *f, unsigned number) {
    static const char *const heads[] = {"Process", "What it had", "#How many", NULL};
    const struct moment *m = &f->incident->first;
    char caption[64], program[EVENT_PROGRAM + 1];
    snprintf(caption, sizeof caption, "Table: which process had what in incident %u", number);
    grid_begin(out, caption, heads);
    for (unsigned i = 0; i < MOMENT_CLOSERS && m->closer[i].waits; i++) {
        program_text(program, m->closer[i].program);
        print_process(out, program, "TIME-WAITs that it left in the minute before", m->closer[i].waits);
    }
    print_holder(out, &f->binder, "ports bound, while this report was made");
    print_holder(out, &f->connected, "connections open, while this report was made");
    grid_end(out);
}

static void print_kernel(FILE *out, const struct finding *f, unsigned number) {
    static const char *const heads[] = {"State", "#Sockets of all processes", NULL};
    static const char *const state[KERNEL_GROUPS] = {
        [KERNEL_ESTABLISHED] = "ESTABLISHED", [KERNEL_TIME_WAIT] = "TIME-WAIT", [KERNEL_FIN_WAIT] = "FIN-WAIT",
        [KERNEL_CLOSE_WAIT] = "CLOSE-WAIT",   [KERNEL_OTHER] = "other",
    };
    char caption[96];
    snprintf(caption, sizeof caption, "Table: the kernel's sockets in incident %u%s", number,
             f->evidence.estimated ? " (estimated from a sample)" : "");
    grid_begin(out, caption, heads);
    for (unsigned i = 0; i < KERNEL_GROUPS; i++) {
        grid_row(out);
        grid_text(out, state[i]);
        grid_number(out, f->evidence.kernel[i]);
        grid_row_end(out);
    }
    grid_end(out);
}

static void print_one(const struct page *p, const struct finding *f, unsigned number) {
    char text[REPORT_WORDS];
    snprintf(text, sizeof text, "Incident %u", number);
    page_text(p->out, PAGE_HEADING, text);
    if (f->conclusion.n_shares == 0) {
        page_text(p->out, PAGE_NOTE, "There is no picture: this has nothing to do with who has the ports of a range.");
        return;
    }
    draw(p->out, f, number);
    print_shares(p->out, f, number);
    if (f->incident->holders[0]) {
        words_text(text, sizeof text, "The recorder found right after it: $s.", f->incident->holders);
        page_text(p->out, PAGE_PARAGRAPH, text);
    } else {
        page_text(
            p->out, PAGE_NOTE,
            "Which process had which port is not known for that moment: no recorder looked. Try: connspread record "
            "beside the clients.");
    }
    if (has_processes(f))
        print_processes(p->out, f, number);
    if (f->evidence.counted)
        print_kernel(p->out, f, number);
}

void held_print(const struct page *p) {
    PAGE_WRITE(p->out, PAGE_SECTION, SLOT("id", "held"), SLOT("title", "What had the ports"));
    if (p->report->n_findings == 0)
        page_text(p->out, PAGE_NOTE, "There was no incident. Try: connspread quads, which counts what is taken now.");
    for (unsigned i = 0; i < page_incidents(p); i++)
        print_one(p, &p->report->finding[i], i + 1);
    page_plain(p->out, PAGE_SECTION_END);
}
