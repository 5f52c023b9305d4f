#include "tool/common/foreign_text.h"

/* Bytes of the UTF-8 character that begins at p (n > 0 left), or 0 when there is no valid one: overlong forms,
 * surrogates and what lies beyond U+10FFFF are not. */
static size_t utf8_length(const unsigned char *p, size_t n) {
    if (p[0] < 0x80)
        return 1;
    if (n < 2 || p[0] < 0xc2 || p[0] > 0xf4 || (p[1] & 0xc0) != 0x80)
        return 0;
    if (p[0] < 0xe0)
        return 2;
    if (n < 3 || (p[2] & 0xc0) != 0x80)
        return 0;
    if (p[0] < 0xf0)
        return (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ? 0 : 3;
    if (n < 4 || (p[3] & 0xc0) != 0x80)
        return 0;
    return (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}

static uint32_t decode(const unsigned char *p, size_t bytes) {
    uint32_t c = bytes == 1 ? p[0] : p[0] & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++)
        c = c << 6 | (p[i] & 0x3f);
    return c;
}

/* Control characters; marks, embeddings and isolates that turn the order of a line; separators of lines. */
static bool is_control(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

struct foreign_char foreign_char(const char *text, size_t length) {
    const unsigned char *p = (const unsigned char *)text;
    size_t bytes = utf8_length(p, length);
    if (bytes == 0)
        return (struct foreign_char){1, 0xfffd, false};
    uint32_t c = decode(p, bytes);
    return (struct foreign_char){bytes, c, !is_control(c)};
}

/* Nearly all text is. */
static size_t ascii_length(const char *text, size_t length) {
    size_t n = 0;
    while (n < length && text[n] >= 0x20 && text[n] < 0x7f)
        n++;
    return n;
}

static void print(FILE *out, const char *text, size_t length, bool json) {
    for (size_t i = 0; i < length;) {
        size_t n = ascii_length(text + i, length - i);
        (void)fwrite(text + i, 1, n, out);
        i += n;
        if (i == length)
            return;
        struct foreign_char c = foreign_char(text + i, length - i);
        if (c.plain)
            (void)fwrite(text + i, 1, c.bytes, out);
        else if (json && c.code_point >= 0x20)
            (void)fprintf(out, "\\u%04x", (unsigned)c.code_point); /* all of them lie in the first plane */
        else
            (void)fputc(json ? ' ' : '?', out); /* JSON has control characters only between values */
        i += c.bytes;
    }
}

void foreign_print(FILE *out, const char *text, size_t length) {
    print(out, text, length, false);
}

void foreign_print_json(FILE *out, const char *line, size_t length) {
    print(out, line, length, true);
}

static const char *reference(uint32_t c) {
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* Code points that Unicode keeps for none. */
static bool is_no_character(uint32_t c) {
    return (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe;
}

void foreign_print_html(FILE *out, const char *text, size_t length) {
    for (size_t i = 0; i < length;) {
        struct foreign_char c = foreign_char(text + i, length - i);
        const char *instead = !c.plain || is_no_character(c.code_point) ? "?" : reference(c.code_point);
        if (instead)
            (void)fputs(instead, out);
        else
            (void)fwrite(text + i, 1, c.bytes, out);
        i += c.bytes;
    }
}
