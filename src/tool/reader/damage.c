#include "tool/reader/damage.h"

#include "tool/common/message.h"
#include "tool/common/strbuf.h"

void damage_note(struct damage *d, uint64_t line, const char *reason) {
    if (d->count < DAMAGE_LINES)
        d->line[d->count] = line;
    if (d->count++ == 0)
        d->first_reason = reason;
}

void damage_warn(const struct damage *d, const char *file) {
    char text[512];
    struct strbuf s;
    if (d->count == 0)
        return;
    strbuf_init(&s, text, sizeof text);
    for (unsigned i = 0; i < DAMAGE_LINES && i < d->count; i++) {
        strbuf_text(&s, i ? ", " : "");
        strbuf_number(&s, d->line[i]);
        if (i == 0) {
            strbuf_text(&s, " (");
            strbuf_text(&s, d->first_reason);
            strbuf_text(&s, ")");
        }
    }
    if (d->count > DAMAGE_LINES)
        strbuf_text(&s, ", ...");
    (void)strbuf_finish(&s);
    warn("%s: %llu damaged line%s passed over: %s", file, (unsigned long long)d->count, d->count == 1 ? "" : "s", text);
}
