#include "tool/page/grid.h"

#include "tool/page/write.h"

void grid_begin(FILE *out, const char *caption, const char *const *columns) {
    page_text(out, PAGE_DETAILS, caption);
    PAGE_WRITE(out, PAGE_TABLE, SLOT("caption", caption));
    page_plain(out, PAGE_ROW);
    for (; *columns; columns++)
        page_text(out, **columns == '#' ? PAGE_COLUMN_NUMBER : PAGE_COLUMN, *columns + (**columns == '#'));
    page_plain(out, PAGE_ROW_END);
    page_plain(out, PAGE_TABLE_BODY);
}

void grid_row(FILE *out) {
    page_plain(out, PAGE_ROW);
}

void grid_text(FILE *out, const char *text) {
    page_text(out, PAGE_CELL, text);
}

void grid_number(FILE *out, uint64_t n) {
    PAGE_WRITE(out, PAGE_CELL_NUMBER, SLOT_NUMBER("number", n));
}

void grid_row_end(FILE *out) {
    page_plain(out, PAGE_ROW_END);
}

void grid_end(FILE *out) {
    page_plain(out, PAGE_TABLE_END);
    page_plain(out, PAGE_DETAILS_END);
}
