#include "tool/page/repeat.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "tool/common/sentence.h"
#include "tool/common/strbuf.h"
#include "tool/page/grid.h"
#include "tool/page/write.h"

enum { COMMAND = 4096, FILES = 64 };

/* What a shell takes as it is. */
static bool is_bare(const char *word) {
    return word[0] &&
           word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-")] == 0;
}

static void quote(struct strbuf *s, const char *word) {
    if (is_bare(word)) {
        strbuf_text(s, word);
        return;
    }
    strbuf_text(s, "'");
    for (; *word; word++)
        strbuf_bytes(s, *word == '\'' ? "'\\''" : word, *word == '\'' ? 4 : 1);
    strbuf_text(s, "'");
}

static void print_command(const struct page *p) {
    char text[COMMAND];
    struct strbuf s;
    strbuf_init(&s, text, sizeof text);
    strbuf_text(&s, "connspread report");
    for (int i = 1; i < p->argc; i++) {
        strbuf_text(&s, " ");
        quote(&s, p->argv[i]);
    }
    (void)strbuf_finish(&s);
    page_plain(p->out, PAGE_COMMANDS);
    page_text(p->out, PAGE_COMMAND, text);
    page_plain(p->out, PAGE_COMMANDS_END);
    if (s.full)
        page_text(p->out, PAGE_NOTE, "The command is longer than what stands here.");
}

static void print_files(const struct page *p) {
    static const char *const heads[] = {"File", "Kind", "#Events", "#Damaged lines", NULL};
    const struct report_inputs *in = &p->report->inputs;
    grid_begin(p->out, "Table: the files that were read", heads);
    for (unsigned i = 0; i < in->n && i < FILES; i++) {
        const struct report_input *one = &in->input[i];
        grid_row(p->out);
        grid_text(p->out, one->name);
        grid_text(p->out, one->is_state ? "state file" : one->failed ? "could not be read" : "JSON Lines");
        grid_number(p->out, one->events);
        grid_number(p->out, one->damage.count);
        grid_row_end(p->out);
    }
    grid_end(p->out);
}

void repeat_print(const struct page *p) {
    const struct report *r = p->report;
    char text[REPORT_WORDS];
    struct utsname kernel;
    struct strbuf s;
    PAGE_WRITE(p->out, PAGE_SECTION, SLOT("id", "repeat"), SLOT("title", "How to repeat it"));
    print_command(p);
    strbuf_init(&s, text, sizeof text);
    words_fill(&s, "Made at $t by connspread " VERSION, r->now_us);
    if (uname(&kernel) == 0)
        words_fill(&s, " on $s, $s $s", kernel.nodename, kernel.sysname, kernel.release);
    words_fill(&s, ", from $n file$s", (uint64_t)r->inputs.n, r->inputs.n == 1 ? "" : "s");
    words_fill(&s, r->inputs.n > FILES ? ", of which the first $n are in the table." : ".", (uint64_t)FILES);
    (void)strbuf_finish(&s);
    page_text(p->out, PAGE_PARAGRAPH, text);
    if (r->facts.history.connects + r->facts.history.time_waits == 0)
        page_text(p->out, PAGE_NOTE,
                  "No file had a history: what the page says comes from logged events alone. A state file keeps counts "
                  "of 24 hours.");
    print_files(p);
    page_plain(p->out, PAGE_SECTION_END);
}
