#include "tool/doctor/findings.h"

#include <stdarg.h>
#include <stdio.h>

struct finding *findings_add(struct findings *out, enum severity severity, const char *name) {
    static struct finding beyond; /* never printed: there are fewer kinds than places */
    struct finding *f = out->n < FINDINGS ? &out->finding[out->n++] : &beyond;
    f->name = name;
    f->severity = severity;
    f->reason[0] = f->remedy[0] = 0;
    return f;
}

void finding_reason(struct finding *f, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(f->reason, sizeof f->reason, format, arguments);
    va_end(arguments);
}

void finding_remedy(struct finding *f, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(f->remedy, sizeof f->remedy, format, arguments);
    va_end(arguments);
}
