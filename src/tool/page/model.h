/* model.h - what the page is made of: the report, and what was gathered besides while it was made. */
#ifndef CONNSPREAD_TOOL_PAGE_MODEL_H
#define CONNSPREAD_TOOL_PAGE_MODEL_H

#include <stdio.h>

#include "tool/page/heat.h"
#include "tool/page/story.h"
#include "tool/report/model.h"

enum { PAGE_INCIDENTS = 12 }; /* told in full; of the others the page has a line each */

struct page {
    FILE *out;
    const struct report *report;
    struct heat heat;
    struct stories stories;
    int argc; /* of the command: how to repeat it */
    char *const *argv;
};

/* How many findings are told in full. */
static inline unsigned page_incidents(const struct page *p) {
    return p->report->n_findings < PAGE_INCIDENTS ? p->report->n_findings : (unsigned)PAGE_INCIDENTS;
}

#endif
