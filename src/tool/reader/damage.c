#include "tool/reader/damage.h"

#include "tool/common/message.h"
#include "tool/common/strbuf.h"

void damage_note(struct damage *d, uint64_t line, const char *reason) {
    if (d->count < DAMAGE_LINES)
        d->line[d->count] = line;
    if (d->count++ == 0)
        d->first_reason = reason;
}

void damage_complain(const struct damage *d, const char *file) {
    char text[512];
    struct sink s;
    if (d->count == 0)
        return;
    sink_init(&s, text, sizeof text);
    for (unsigned i = 0; i < DAMAGE_LINES && i < d->count; i++) {
        sink_text(&s, i ? ", " : "");
        sink_number(&s, d->line[i]);
        if (i == 0) {
            sink_text(&s, " (");
            sink_text(&s, d->first_reason);
            sink_text(&s, ")");
        }
    }
    if (d->count > DAMAGE_LINES)
        sink_text(&s, ", ...");
    (void)sink_finish(&s);
    complain("%s: %llu damaged line%s passed over: %s", file, (unsigned long long)d->count, d->count == 1 ? "" : "s",
             text);
}
