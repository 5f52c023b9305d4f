#include "tool/screen/cells.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes of the character that its first byte announces. */
static size_t announced(unsigned char first) {
    return first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Marks that stand on the character before them, and joiners. */
static bool takes_none(uint32_t c) {
    return (c >= 0x300 && c <= 0x36f) || (c >= 0x200b && c <= 0x200d) || (c >= 0x20d0 && c <= 0x20ff) ||
           (c >= 0xfe00 && c <= 0xfe0f) || (c >= 0xe0100 && c <= 0xe01ef) || c == 0xfeff;
}

/* East Asian characters and pictures (Unicode's wide and fullwidth blocks). */
static bool takes_two(uint32_t c) {
    return (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
           (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd);
}

size_t cells_next(const char *text, size_t length, unsigned *columns) {
    const unsigned char *p = (const unsigned char *)text;
    size_t bytes = announced(p[0]);
    bytes = bytes < length ? bytes : length;
    uint32_t c = bytes == 1 ? p[0] : p[0] & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++)
        c = c << 6 | (p[i] & 0x3f);
    *columns = c < 0x300 ? 1 : takes_none(c) ? 0 : takes_two(c) ? 2 : 1;
    return bytes;
}

unsigned cells_width(const char *text, size_t length) {
    unsigned width = 0, columns;
    for (size_t i = 0; i < length; width += columns)
        i += cells_next(text + i, length - i, &columns);
    return width;
}

size_t cells_fit(const char *text, size_t length, unsigned columns) {
    unsigned width = 0, next;
    for (size_t i = 0; i < length;) {
        size_t bytes = cells_next(text + i, length - i, &next);
        if (width + next > columns)
            return i;
        width += next;
        i += bytes;
    }
    return length;
}
