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

const char *check_scope_name(enum addr_scope scope) {
    static const char *const name[SCOPE_COUNT] = {
        [SCOPE_V4_LOOPBACK] = "ipv4-loopback", [SCOPE_V4] = "ipv4", [SCOPE_V6_LOOPBACK] = "ipv6-loopback",
        [SCOPE_V6_LINK] = "ipv6-link",         [SCOPE_V6] = "ipv6",
    };
    return name[scope];
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
