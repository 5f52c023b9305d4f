#include "tool/common/sentence.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tool/common/strbuf.h"

static void put_time(struct strbuf *s, uint64_t us) {
    char text[32];
    struct strbuf time;
    strbuf_init(&time, text, sizeof text);
    strbuf_time(&time, us);
    (void)strbuf_finish(&time);
    strbuf_bytes(s, text, 10);
    strbuf_bytes(s, " ", 1);
    strbuf_bytes(s, text + 11, 8);
    strbuf_text(s, " UTC");
}

static void put_rate(struct strbuf *s, double rate) {
    char text[32];
    if (rate < 10) {
        snprintf(text, sizeof text, "%.1f", rate);
        strbuf_text(s, text);
    } else {
        strbuf_grouped(s, (uint64_t)(rate + 0.5));
    }
}

static void fill(struct strbuf *s, const char *sentence, va_list blanks) {
    for (const char *p = sentence; *p; p++) {
        size_t plain = strcspn(p, "$");
        strbuf_bytes(s, p, plain);
        p += plain;
        if (!*p)
            break;
        switch (*++p) {
        case 's': {
            const char *text = va_arg(blanks, const char *);
            strbuf_plain(s, text, strlen(text));
            break;
        }
        case 'n':
            strbuf_grouped(s, va_arg(blanks, uint64_t));
            break;
        case 'd':
            put_rate(s, va_arg(blanks, double));
            break;
        default:
            put_time(s, va_arg(blanks, uint64_t));
            break;
        }
    }
}

void words_fill(struct strbuf *s, const char *sentence, ...) {
    va_list blanks;
    va_start(blanks, sentence);
    fill(s, sentence, blanks);
    va_end(blanks);
}

void words_text(char *out, size_t size, const char *sentence, ...) {
    struct strbuf s;
    va_list blanks;
    va_start(blanks, sentence);
    strbuf_init(&s, out, size);
    fill(&s, sentence, blanks);
    (void)strbuf_finish(&s);
    va_end(blanks);
}
