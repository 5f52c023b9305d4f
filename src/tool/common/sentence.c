#include "tool/common/sentence.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tool/common/strbuf.h"

static void put_time(struct sink *s, uint64_t us) {
    char text[32];
    struct sink time;
    sink_init(&time, text, sizeof text);
    sink_time(&time, us);
    (void)sink_finish(&time);
    sink_bytes(s, text, 10);
    sink_bytes(s, " ", 1);
    sink_bytes(s, text + 11, 8);
    sink_text(s, " UTC");
}

static void put_rate(struct sink *s, double rate) {
    char text[32];
    if (rate < 10) {
        snprintf(text, sizeof text, "%.1f", rate);
        sink_text(s, text);
    } else {
        sink_grouped(s, (uint64_t)(rate + 0.5));
    }
}

void words_fill(struct sink *s, const char *sentence, ...) {
    va_list blanks;
    va_start(blanks, sentence);
    for (const char *p = sentence; *p; p++) {
        size_t plain = strcspn(p, "$");
        sink_bytes(s, p, plain);
        p += plain;
        if (!*p)
            break;
        switch (*++p) {
        case 's': {
            const char *text = va_arg(blanks, const char *);
            sink_plain(s, text, strlen(text));
            break;
        }
        case 'n':
            sink_grouped(s, va_arg(blanks, uint64_t));
            break;
        case 'd':
            put_rate(s, va_arg(blanks, double));
            break;
        default:
            put_time(s, va_arg(blanks, uint64_t));
            break;
        }
    }
    va_end(blanks);
}
