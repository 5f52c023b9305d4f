#include "tool/check/names.h"

#include <stdio.h>

#include "tool/common/strbuf.h"

unsigned check_mode(const struct findings *f, bool override) {
    return override && f->control.has_mode ? f->control.mode : f->policy.mode;
}

unsigned check_canary(const struct findings *f, bool override) {
    return override && f->control.has_canary ? f->control.canary : f->policy.canary;
}

const char *check_policy_name(unsigned policy) {
    static const char *const name[] = {
        [POOL_ROUND_ROBIN] = "round-robin", [POOL_RANDOM] = "random", [POOL_HASH] = "hash",
        [POOL_LEAST_USED] = "least-used",   [POOL_HASH_BY] = "hash",
    };
    return policy <= POOL_HASH_BY ? name[policy] : "unknown";
}

void check_json_text(const char *key, const char *text) {
    char out[6 * LOCATE_PATH + 3];
    struct strbuf s;
    if (!text) {
        printf("%snull", key);
        return;
    }
    strbuf_init(&s, out, sizeof out);
    strbuf_json(&s, text, LOCATE_PATH);
    (void)strbuf_finish(&s);
    printf("%s%s", key, out);
}
