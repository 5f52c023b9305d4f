#include "tool/page/page.h"

#include <stdio.h>
#include <stdlib.h>

#include "tool/common/sentence.h"
#include "tool/common/strbuf.h"
#include "tool/page/closers.h"
#include "tool/page/connect_time.h"
#include "tool/page/held.h"
#include "tool/page/hosts.h"
#include "tool/page/incidents.h"
#include "tool/page/occupancy.h"
#include "tool/page/remedies.h"
#include "tool/page/repeat.h"
#include "tool/page/write.h"
#include "tool/report/history.h"
#include "tool/report/words.h"

struct page *page_open(const struct report *r) {
    struct page *p = calloc(1, sizeof *p);
    if (p && !heat_init(&p->heat)) {
        free(p);
        return NULL;
    }
    if (p)
        p->report = r;
    return p;
}

void page_close(struct page *p) {
    if (p)
        heat_free(&p->heat);
    free(p);
}

void page_take(struct page *p, struct facts *f, const struct event_record *r, const struct event_context *context) {
    const struct destination_key to = facts_destination(f, &r->e, context);
    heat_take(&p->heat, f, &to, r);
    stories_take(&p->stories, f, &to, r, context);
}

static void remember_flow(struct heat *h, uint32_t host, const struct history_record *record, uint64_t minute,
                          uint64_t now_us) {
    const struct route_key key = {.to = history_destination(host, record), .source = record->source};
    heat_remember(h, &key, &record->n, minute, now_us);
}

static void remember_minute(struct report *r, uint32_t host, const struct history_view *view, void *context) {
    struct page *p = context;
    uint64_t time_us = view->minute * UINT64_C(60000000);
    if (time_us < r->since_us || time_us > r->until_us)
        return;
    for (unsigned i = 0; i < view->flows; i++)
        remember_flow(&p->heat, host, &view->record[i], view->minute, r->now_us);
}

void page_remember(struct page *p, struct report *r) {
    report_read_history(r, remember_minute, p);
}

static void print_head(const struct page *p) {
    const struct report *r = p->report;
    const struct finding *worst = r->n_findings ? &r->finding[0] : NULL;
    char text[REPORT_WORDS];
    struct strbuf s;
    strbuf_init(&s, text, sizeof text);
    if (worst)
        words_fill(&s, "$s $s", conclusion_name(worst->conclusion.kind), worst->destination);
    else
        strbuf_text(&s, r->good ? "no failure" : "incomplete");
    (void)strbuf_finish(&s);
    PAGE_WRITE(p->out, PAGE_HEAD, SLOT("title", text));
    page_plain(p->out, PAGE_STYLE_PAGE);
    page_plain(p->out, PAGE_STYLE_PICTURE);
    if (worst)
        words_verdict(text, worst);
    else
        snprintf(text, sizeof text, "%s", words_none(r));
    PAGE_WRITE(p->out, PAGE_BODY, SLOT("verdict", text));
    words_head(text, r);
    page_text(p->out, PAGE_PARAGRAPH, text);
}

void page_print(struct page *p, FILE *out, int argc, char *const *argv) {
    p->out = out;
    p->argc = argc;
    p->argv = argv;
    print_head(p);
    remedies_print(p);
    occupancy_print(p);
    closers_print(p);
    connect_time_print(p);
    incidents_print(p);
    held_print(p);
    hosts_print(p);
    repeat_print(p);
    page_plain(p->out, PAGE_END);
}
