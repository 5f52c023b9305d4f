/* Any bytes as JSON Lines, and as names in what they say: the page that comes of it is one whose tags match, in which
 * no text is a tag, and which no control character enters. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/common/foreign_text.h"
#include "tool/events/jsonl.h"
#include "tool/page/page.h"
#include "tool/report/facts_add.h"
#include "tool/report/find.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int truth) {
    if (!truth)
        abort();
}

/* --- what a page may be --- */

enum { DEPTH = 32, NAME = 16 };

struct tags {
    char open[DEPTH][NAME];
    unsigned n;
};

static bool is_void(const char *name) {
    return strcmp(name, "meta") == 0;
}

/* One that the template has: no name of a program can make another. */
static bool is_known(const char *name) {
    static const char *const known[] = {"html", "head",  "meta",    "title",   "style", "body",    "main",
                                        "h1",   "h2",    "h3",      "p",       "pre",   "code",    "section",
                                        "ol",   "ul",    "li",      "span",    "div",   "details", "svg",
                                        "desc", "table", "caption", "summary", "thead", "tbody",   "tr",
                                        "th",   "td",    "rect",    "line",    "text",  "figure",  "figcaption"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]) == 0)
            return true;
    return false;
}

/* From '<' to the '>' that ends it. */
static const char *take_tag(struct tags *t, const char *at) {
    char name[NAME] = "";
    bool closes = at[1] == '/';
    const char *from = at + 1 + closes, *end = strchr(at, '>');
    size_t length = strspn(from, "abcdefghijklmnopqrstuvwxyz123456");
    expect(end && length > 0 && length < NAME);
    memcpy(name, from, length);
    expect(is_known(name));
    if (closes)
        expect(t->n > 0 && strcmp(t->open[--t->n], name) == 0 && from[length] == '>');
    else if (!is_void(name) && end[-1] != '/') {
        expect(t->n < DEPTH);
        memcpy(t->open[t->n++], name, NAME);
    }
    unsigned quotes = 0;
    for (const char *p = at; p < end; p++)
        quotes += *p == '"';
    expect(quotes % 2 == 0);
    return end + 1;
}

static void judge(const char *page, size_t size) {
    struct tags tags = {.n = 0};
    expect(strlen(page) == size && size < 1000000);
    for (size_t i = 0; i < size;) {
        struct foreign_char c = foreign_char(page + i, size - i);
        expect(c.plain || c.code_point == '\n');
        i += c.bytes;
    }
    const char *p = strstr(page, "\n<html");
    expect(p != NULL);
    for (p = strchr(p, '<'); p; p = strchr(p, '<'))
        p = take_tag(&tags, p);
    expect(tags.n == 0);
}

/* --- making it --- */

/* Names that JSON cannot have, or that no one would write. */
static void put_name(char *to, size_t room, const char *data, size_t size) {
    memset(to, 0, room);
    memcpy(to, data, size < room - 1 ? size : room - 1);
}

static void take(struct report *r, struct page *page, const struct event_record *e, const struct event_context *c) {
    facts_add(&r->facts, e, c);
    page_take(page, &r->facts, e, c);
}

static void read_lines(struct report *r, struct page *page, const char *data, size_t size) {
    struct event_record event;
    struct event_context context;
    while (size > 0) {
        const char *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) : size, rest = size - length;
        if (jsonl_parse(data, length, &event, &context) == NULL) {
            take(r, page, &event, &context);
            memcpy(event.e.program, data, length < EVENT_PROGRAM ? length : (size_t)EVENT_PROGRAM);
            put_name(context.host, sizeof context.host, data + length, rest);
            put_name(context.rule, sizeof context.rule, data + length, rest);
            put_name(context.pool, sizeof context.pool, data, length);
            take(r, page, &event, &context);
        }
        data += length + (end != NULL);
        size -= length + (end != NULL);
    }
}

static void escape(const char *data, size_t size) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    expect(out != NULL);
    foreign_print_html(out, data, size);
    expect(fclose(out) == 0);
    expect(strcspn(text, "<>\"'") == length && length <= 6 * size);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct report r;
    char *text = NULL;
    size_t length = 0;
    memset(&r, 0, sizeof r);
    escape((const char *)data, size);
    struct page *page = page_open(&r);
    expect(page && facts_init(&r.facts, 1));
    read_lines(&r, page, (const char *)data, size);
    report_find(&r);
    FILE *out = open_memstream(&text, &length);
    expect(out != NULL);
    char name[64];
    put_name(name, sizeof name, (const char *)data, size);
    char *argv[] = {name, name, NULL};
    page_print(page, out, 2, argv);
    expect(fclose(out) == 0);
    judge(text, length);
    free(text);
    page_close(page);
    facts_free(&r.facts);
    return 0;
}
