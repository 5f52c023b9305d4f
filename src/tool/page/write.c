#include "tool/page/write.h"

#include <string.h>

#include "tool/common/foreign_text.h"
#include "tool/common/strbuf.h"

static const char *const template[PAGE_BLOCKS] = {
#define BLOCK(name, text) [PAGE_##name] = text,
#include "tool/page/template.def"
#undef BLOCK
};

const char *page_template(enum page_block block) {
    return template[block];
}

static void put_text(FILE *out, const char *text) {
    foreign_print_html(out, text, strlen(text));
}

/* printf would ask the locale for its point. */
static void put_place(FILE *out, double place) {
    char text[48];
    struct strbuf s;
    double bounded = place < -1e6 ? -1e6 : place > 1e6 ? 1e6 : place;
    uint64_t tenths = (uint64_t)((bounded < 0 ? -bounded : bounded) * 10 + 0.5);
    strbuf_init(&s, text, sizeof text);
    strbuf_text(&s, bounded < 0 && tenths ? "-" : "");
    strbuf_number(&s, tenths / 10);
    if (tenths % 10) {
        strbuf_text(&s, ".");
        strbuf_number(&s, tenths % 10);
    }
    (void)strbuf_finish(&s);
    put_text(out, text);
}

static void put_slot(FILE *out, const struct page_slot *slot) {
    char number[GROUPED_TEXT];
    switch (slot->kind) {
    case PAGE_TEXT_VALUE:
        put_text(out, slot->text);
        break;
    case PAGE_NUMBER_VALUE:
        put_text(out, grouped(number, slot->number));
        break;
    case PAGE_PLACE_VALUE:
        put_place(out, slot->place);
        break;
    }
}

static void fill(FILE *out, const char *name, size_t length, const struct page_slot *slots, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strlen(slots[i].name) == length && memcmp(slots[i].name, name, length) == 0)
            put_slot(out, &slots[i]);
}

void page_write(FILE *out, enum page_block block, const struct page_slot *slots, size_t n) {
    const char *text = template[block], *slot, *end;
    while ((slot = strstr(text, "{{")) && (end = strstr(slot, "}}"))) {
        (void)fwrite(text, 1, (size_t)(slot - text), out);
        fill(out, slot + 2, (size_t)(end - slot) - 2, slots, n);
        text = end + 2;
    }
    (void)fputs(text, out);
}

void page_plain(FILE *out, enum page_block block) {
    page_write(out, block, NULL, 0);
}

void page_text(FILE *out, enum page_block block, const char *text) {
    PAGE_WRITE(out, block, SLOT("text", text));
}
