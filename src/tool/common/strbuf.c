#include "tool/common/strbuf.h"

#include <string.h>

#include "tool/common/foreign_text.h"

void strbuf_init(struct strbuf *s, char *buffer, size_t size) {
    *s = (struct strbuf){.start = buffer, .at = buffer, .end = buffer + (size ? size - 1 : 0)};
}

int strbuf_finish(struct strbuf *s) {
    *s->at = 0;
    return s->full ? -1 : (int)(s->at - s->start);
}

void strbuf_bytes(struct strbuf *s, const char *bytes, size_t length) {
    if (s->full || length > (size_t)(s->end - s->at)) {
        s->full = true;
        return;
    }
    memcpy(s->at, bytes, length);
    s->at += length;
}

void strbuf_text(struct strbuf *s, const char *text) {
    strbuf_bytes(s, text, strlen(text));
}

void strbuf_number(struct strbuf *s, uint64_t n) {
    char digits[20];
    size_t i = sizeof digits;
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    strbuf_bytes(s, digits + i, sizeof digits - i);
}

void strbuf_grouped(struct strbuf *s, uint64_t n) {
    char digits[27];
    size_t i = sizeof digits;
    for (unsigned written = 0; n || !written; written++) {
        if (written && written % 3 == 0)
            digits[--i] = ',';
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    }
    strbuf_bytes(s, digits + i, sizeof digits - i);
}

const char *grouped(char out[GROUPED_TEXT], uint64_t n) {
    struct strbuf s;
    strbuf_init(&s, out, GROUPED_TEXT);
    strbuf_grouped(&s, n);
    (void)strbuf_finish(&s);
    return out;
}

void strbuf_hex16(struct strbuf *s, uint64_t n) {
    char digits[16];
    for (int i = 15; i >= 0; i--, n >>= 4)
        digits[i] = "0123456789abcdef"[n & 15];
    strbuf_bytes(s, digits, sizeof digits);
}

static void put_digits(char *out, unsigned width, unsigned n) {
    while (width-- > 0) {
        out[width] = (char)('0' + n % 10);
        n /= 10;
    }
}

void strbuf_time(struct strbuf *s, uint64_t us) {
    static const uint64_t last = 253402300799999999u; /* 9999-12-31T23:59:59.999999Z */
    char out[27] = "0000-00-00T00:00:00.000000Z";
    if (us > last)
        us = last;
    uint64_t seconds = us / 1000000;
    unsigned day = (unsigned)(seconds / 86400), second = (unsigned)(seconds % 86400);
    /* Days since 1970 to a date of the Gregorian calendar, in years that begin on 1 March, so that the leap day comes
     * last. 719468: days from 0000-03-01 to 1970-01-01; 146097: days of 400 years. */
    unsigned shifted = day + 719468, era = shifted / 146097, in_era = shifted % 146097;
    unsigned year_of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned from_march = (5 * in_year + 2) / 153;
    unsigned month = from_march < 10 ? from_march + 3 : from_march - 9;
    put_digits(out, 4, year_of_era + era * 400 + (month <= 2));
    put_digits(out + 5, 2, month);
    put_digits(out + 8, 2, in_year - (153 * from_march + 2) / 5 + 1);
    put_digits(out + 11, 2, second / 3600);
    put_digits(out + 14, 2, second / 60 % 60);
    put_digits(out + 17, 2, second % 60);
    put_digits(out + 20, 6, (unsigned)(us % 1000000));
    strbuf_bytes(s, out, sizeof out);
}

/* \u009b; what is escaped lies in the first plane. */
static void json_escape(struct strbuf *s, uint32_t c) {
    char escape[6] = {'\\', 'u'};
    for (unsigned i = 0; i < 4; i++)
        escape[2 + i] = "0123456789abcdef"[c >> (12 - 4 * i) & 15];
    if (c == '"' || c == '\\')
        strbuf_bytes(s, (char[]){'\\', (char)c}, 2);
    else
        strbuf_bytes(s, escape, sizeof escape);
}

void strbuf_json(struct strbuf *s, const char *text, size_t max) {
    size_t length = strnlen(text, max);
    strbuf_bytes(s, "\"", 1);
    for (size_t i = 0; i < length;) {
        struct foreign_char c = foreign_char(text + i, length - i);
        if (c.plain && c.code_point != '"' && c.code_point != '\\')
            strbuf_bytes(s, text + i, c.bytes);
        else
            json_escape(s, c.code_point);
        i += c.bytes;
    }
    strbuf_bytes(s, "\"", 1);
}

void strbuf_plain(struct strbuf *s, const char *text, size_t max) {
    size_t length = strnlen(text, max);
    for (size_t i = 0; i < length;) {
        struct foreign_char c = foreign_char(text + i, length - i);
        if (c.plain)
            strbuf_bytes(s, text + i, c.bytes);
        else
            strbuf_bytes(s, "?", 1);
        i += c.bytes;
    }
}
