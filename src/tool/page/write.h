/* write.h - the page's blocks (template.def), written with their slots filled. What stands in a slot is escaped,
 * whatever it is: there is no way past it. */
#ifndef CONNSPREAD_TOOL_PAGE_WRITE_H
#define CONNSPREAD_TOOL_PAGE_WRITE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum page_block {
#define BLOCK(name, text) PAGE_##name,
#include "tool/page/template.def"
#undef BLOCK
    PAGE_BLOCKS
};

/* What a slot takes. A place is a coordinate: a number with one digit behind the point, whatever the locale. */
enum page_value { PAGE_TEXT_VALUE, PAGE_NUMBER_VALUE, PAGE_PLACE_VALUE };
struct page_slot {
    const char *name;
    enum page_value kind;
    const char *text;
    uint64_t number;
    double place;
};

#define SLOT(slot, value)        ((struct page_slot){.name = (slot), .kind = PAGE_TEXT_VALUE, .text = (value)})
#define SLOT_NUMBER(slot, value) ((struct page_slot){.name = (slot), .kind = PAGE_NUMBER_VALUE, .number = (value)})
#define SLOT_PLACE(slot, value)  ((struct page_slot){.name = (slot), .kind = PAGE_PLACE_VALUE, .place = (value)})

/* Each slot of the block is filled by the one of its name; one that has none stays empty. */
void page_write(FILE *out, enum page_block block, const struct page_slot *slots, size_t n);

#define PAGE_WRITE(out, block, ...)                                                                                    \
    page_write((out), (block), (const struct page_slot[]){__VA_ARGS__},                                                \
               sizeof((const struct page_slot[]){__VA_ARGS__}) / sizeof(struct page_slot))

/* Blocks without slots, and those whose only one is {{text}}. */
void page_plain(FILE *out, enum page_block block);
void page_text(FILE *out, enum page_block block, const char *text);

/* The block as it stands in the template. */
const char *page_template(enum page_block block);

#endif
