/* Any bytes as JSON Lines: whatever they say happened adds up in the smallest of tables, is concluded upon and told in
 * words that end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tool/events/jsonl.h"
#include "tool/report/facts_add.h"
#include "tool/report/model.h"
#include "tool/report/find.h"
#include "tool/report/words.h"
#include "tool/report/advice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int truth) {
    if (!truth)
        abort();
}

static void tell(const struct finding *f) {
    char text[REPORT_WORDS];
    words_summary(text, f);
    expect(strlen(text) > 0);
    for (unsigned i = 0; i < REPORT_BECAUSE; i++)
        (void)words_because(text, f, i);
    for (unsigned i = 0; i < f->conclusion.n_remedies; i++) {
        words_remedy(text, f, f->conclusion.remedy[i]);
        expect(strlen(text) > 0);
    }
}

static void read_lines(struct report *r, const char *data, size_t size) {
    struct event_record event;
    struct event_context context;
    while (size > 0) {
        const char *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) : size;
        if (jsonl_parse(data, length, &event, &context) == NULL)
            facts_add(&r->facts, &event, &context);
        data += length + (end != NULL);
        size -= length + (end != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct report r;
    static struct timeline rows;
    memset(&r, 0, sizeof r);
    expect(facts_init(&r.facts, 1));
    read_lines(&r, (const char *)data, size);
    report_find(&r);
    expect(r.n_findings > 0 || r.facts.failed == 0);
    for (unsigned i = 0; i < r.n_findings; i++)
        tell(&r.finding[i]);
    timeline_rows(&r.facts.timeline, &rows, 24, 0);
    expect(rows.n <= 24);
    facts_free(&r.facts);
    return 0;
}
