#include "tool/page/draw.h"

#include <stdbool.h>
#include <string.h>

#include "tool/common/strbuf.h"
#include "tool/page/write.h"

enum { LETTERS = 48 }; /* that fit across a phone */

void draw_begin(FILE *out, const char *id, unsigned height, const char *title, const char *about) {
    page_plain(out, PAGE_FIGURE);
    PAGE_WRITE(out, PAGE_PICTURE, SLOT("id", id), SLOT_PLACE("height", height), SLOT("title", title),
               SLOT("about", about));
}

void draw_end(FILE *out, const char *caption) {
    page_plain(out, PAGE_PICTURE_END);
    page_text(out, PAGE_FIGURE_END, caption);
}

void draw_box(FILE *out, const char *class, const struct box *b, const char *say) {
    PAGE_WRITE(out, say ? PAGE_BOX_SAYING : PAGE_BOX, SLOT("class", class), SLOT_PLACE("x", b->x),
               SLOT_PLACE("y", b->y), SLOT_PLACE("width", b->width), SLOT_PLACE("height", b->height),
               SLOT("text", say ? say : ""));
}

void draw_line(FILE *out, const char *class, const struct box *b) {
    PAGE_WRITE(out, PAGE_LINE, SLOT("class", class), SLOT_PLACE("x1", b->x), SLOT_PLACE("y1", b->y),
               SLOT_PLACE("x2", b->x + b->width), SLOT_PLACE("y2", b->y + b->height));
}

void draw_text(FILE *out, const char *class, double x, double y, const char *text) {
    PAGE_WRITE(out, PAGE_TEXT, SLOT("class", class), SLOT_PLACE("x", x), SLOT_PLACE("y", y), SLOT("text", text));
}

static bool fits(const char *left, const char *right) {
    return strlen(left) + strlen(right) + 4 <= LETTERS;
}

unsigned draw_pair_lines(const char *left, const char *right) {
    return fits(left, right) ? 1 : 2;
}

unsigned draw_pair(FILE *out, unsigned y, const char *left, const char *right) {
    char text[256];
    struct strbuf s;
    strbuf_init(&s, text, sizeof text);
    if (!fits(left, right))
        draw_text(out, "bold", 0, y += DRAW_LINE, left);
    strbuf_text(&s, fits(left, right) ? left : "");
    strbuf_text(&s, fits(left, right) ? " to " : "to ");
    strbuf_text(&s, right);
    (void)strbuf_finish(&s);
    draw_text(out, "bold", 0, y += DRAW_LINE, text);
    return y;
}

const char *draw_time(char out[DRAW_TIME], uint64_t us, uint64_t span_us) {
    char text[32];
    struct strbuf s;
    strbuf_init(&s, text, sizeof text);
    strbuf_time(&s, us);
    (void)strbuf_finish(&s); /* 2026-11-21T03:27:59.000000Z */
    text[10] = ' ';
    bool days = span_us > UINT64_C(86400000000), minutes = span_us >= UINT64_C(600000000);
    strbuf_init(&s, out, DRAW_TIME);
    strbuf_bytes(&s, text + (days ? 5 : 11), days ? 11 : minutes ? 5 : 8);
    (void)strbuf_finish(&s);
    return out;
}

void draw_time_axis(FILE *out, unsigned y, uint64_t start_us, uint64_t span_us, const char *title) {
    static const char *const class[3] = {"soft", "soft middle", "soft end"};
    char text[DRAW_TIME];
    draw_line(out, "axis", &(struct box){0, y, 100, 0});
    for (unsigned i = 0; i < 3; i++) {
        draw_line(out, "axis", &(struct box){50.0 * i, y, 0, 4});
        draw_text(out, class[i], 50.0 * i, y + DRAW_LINE, draw_time(text, start_us + span_us / 2 * i, span_us));
    }
    draw_text(out, "soft", 0, y + 2 * DRAW_LINE, title);
}
