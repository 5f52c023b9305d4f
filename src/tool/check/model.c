#include "tool/check/model.h"

#include <stdarg.h>
#include <stdio.h>

void warning_add(struct warnings *w, const char *format, ...) {
    va_list arguments;
    unsigned at = w->count++;
    if (at >= WARNINGS_KEPT)
        return;
    va_start(arguments, format);
    vsnprintf(w->text[at], WARNING_TEXT, format, arguments);
    va_end(arguments);
}

const struct policy_pool *check_pool(const struct policy *p, const struct policy_rule *rule) {
    return rule->action == ACTION_SPREAD && rule->pool < p->n_pools ? &p->pool[rule->pool] : NULL;
}
