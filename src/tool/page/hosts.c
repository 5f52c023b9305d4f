#include "tool/page/hosts.h"

#include <stdio.h>
#include <stdlib.h>

#include "tool/common/sentence.h"
#include "tool/common/strbuf.h"
#include "tool/events/names.h"
#include "tool/page/grid.h"
#include "tool/page/write.h"
#include "tool/report/fleet.h"

enum { TROUBLES = 8 };

static void print_host(FILE *out, const struct facts *f, const struct fleet_trouble *t, unsigned host) {
    char text[64];
    struct strbuf s;
    grid_row(out);
    grid_text(out, f->host[host].name);
    strbuf_init(&s, text, sizeof text);
    if (t->on[host])
        words_fill(&s, "$t", t->first[host]);
    else
        strbuf_text(&s, t->reach[host] ? "spared" : "no connection there");
    (void)strbuf_finish(&s);
    grid_text(out, text);
    grid_number(out, t->by[host]);
    snprintf(text, sizeof text, "%lld s", (long long)fleet_apart_s(t, host));
    grid_text(out, t->on[host] && fleet_apart_s(t, host) ? text : "");
    grid_row_end(out);
}

static void print_trouble(const struct page *p, const struct fleet *fleet, const struct fleet_trouble *t,
                          unsigned number) {
    static const char *const heads[] = {"Host", "Began", "#Failed", "Apart from most", NULL};
    char destination[ENDPOINT_TEXT] = "a local cause", text[256];
    if (t->port)
        format_endpoint(destination, &t->peer, t->port);
    words_text(text, sizeof text, "$s, $s: on $n of $n hosts, $n failed calls", event_name(NAMES_CAUSE, t->cause),
               destination, (uint64_t)t->n_on, (uint64_t)t->n_reach, t->failed);
    page_text(p->out, PAGE_PARAGRAPH, text);
    snprintf(text, sizeof text, "Table: hosts of cause %u", number);
    grid_begin(p->out, text, heads);
    for (unsigned i = 0; i < fleet->n_hosts; i++)
        print_host(p->out, &p->report->facts, t, fleet->host[i]);
    grid_end(p->out);
}

void hosts_print(const struct page *p) {
    struct fleet *fleet = p->report->facts.n_hosts > 1 ? malloc(sizeof *fleet) : NULL;
    if (!fleet)
        return;
    fleet_find(&p->report->facts, fleet);
    PAGE_WRITE(p->out, PAGE_SECTION, SLOT("id", "hosts"), SLOT("title", "Which hosts"));
    for (unsigned i = 0; i < fleet->n && i < TROUBLES; i++)
        print_trouble(p, fleet, &fleet->trouble[i], i + 1);
    if (fleet->n == 0)
        page_text(p->out, PAGE_NOTE, "No host had an incident.");
    page_plain(p->out, PAGE_SECTION_END);
    free(fleet);
}
