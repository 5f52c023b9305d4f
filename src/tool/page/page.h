/* page.h - the report as one page of HTML: no script, nothing from elsewhere. */
#ifndef CONNSPREAD_TOOL_PAGE_PAGE_H
#define CONNSPREAD_TOOL_PAGE_PAGE_H

#include "tool/page/model.h"

/* Before the events are read. NULL: no memory. */
struct page *page_open(const struct report *r);
void page_close(struct page *p);

/* An event that the facts have taken. */
void page_take(struct page *p, struct facts *f, const struct event_record *r, const struct event_context *context);

/* The histories of the state files; after report_add_history. */
void page_remember(struct page *p, struct report *r);

/* argv: of the command. */
void page_print(struct page *p, FILE *out, int argc, char *const *argv);

#endif
