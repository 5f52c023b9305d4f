#include "tool/common/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/sys.h"

static const uint64_t first_after_ns = 1000000000, again_after_ns = 250000000;

void progress_begin(struct progress *p) {
    *p = (struct progress){.wanted = isatty(STDERR_FILENO), .began = clock_ns(CLOCK_MONOTONIC)};
}

bool progress_due(const struct progress *p) {
    uint64_t now = p->wanted ? clock_ns(CLOCK_MONOTONIC) : 0;
    return p->wanted && now - p->began >= first_after_ns && now - p->last >= again_after_ns;
}

void progress_say(struct progress *p, const char *format, ...) {
    char text[160];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\rconnspread: %-*s", p->width, text);
    (void)fflush(stderr);
    p->last = clock_ns(CLOCK_MONOTONIC);
    p->width = length < 0 ? 0 : length < (int)sizeof text ? length : (int)sizeof text - 1;
}

void progress_end(struct progress *p) {
    static const char name[] = "connspread: ";
    if (p->width)
        fprintf(stderr, "\r%*s\r", p->width + (int)sizeof name - 1, "");
    p->width = 0;
}
