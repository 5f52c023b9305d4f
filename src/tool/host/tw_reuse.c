#include "tool/host/tw_reuse.h"

#include <stdio.h>
#include <stdlib.h>

#include "tool/common/text_file.h"
#include "tool/host/capacity.h"

enum { DELAY_MS = 1000, TIME_WAIT_MS = TIME_WAIT_SECONDS * 1000 };

static int64_t sysctl(const char *name) {
    char path[128];
    (void)snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", name);
    char *text = text_file(path), *end = NULL;
    int64_t value = text ? strtoll(text, &end, 10) : -1;
    if (text && end == text)
        value = -1;
    free(text);
    return value;
}

void tw_reuse_look(struct tw_reuse *out) {
    *out = (struct tw_reuse){
        .mode = sysctl("tcp_tw_reuse"),
        .delay_ms = sysctl("tcp_tw_reuse_delay"),
        .timestamps = sysctl("tcp_timestamps"),
        .step_width = sysctl("ip_local_port_step_width"),
    };
    if (out->delay_ms < 0)
        out->delay_ms = DELAY_MS;
}

static bool is_loopback(const struct addr *a) {
    enum addr_scope scope = addr_scope(a);
    return scope == SCOPE_V4_LOOPBACK || scope == SCOPE_V6_LOOPBACK;
}

bool tw_reuse_is_loopback(const struct addr *source, const struct addr *destination) {
    return is_loopback(source) || is_loopback(destination);
}

bool tw_reuse_is_on(const struct tw_reuse *r, bool loopback) {
    return r->timestamps > 0 && (r->mode == 1 || (r->mode == 2 && loopback)) && r->delay_ms < TIME_WAIT_MS;
}

double tw_reuse_seconds(const struct tw_reuse *r, bool loopback) {
    /* A delay of 0 still has a connection's own time in it, of which nothing is known: a millisecond. */
    double delay = r->delay_ms > 0 ? (double)r->delay_ms / 1000 : 0.001;
    return tw_reuse_is_on(r, loopback) ? delay : TIME_WAIT_SECONDS;
}

bool tw_reuse_may_take(const struct tw_reuse *r, bool loopback, uint32_t left_ms) {
    return tw_reuse_is_on(r, loopback) && left_ms <= TIME_WAIT_MS - r->delay_ms;
}

double tw_reuse_per_second(const struct tw_reuse *r, bool loopback, uint64_t quadruplets) {
    return (double)quadruplets / tw_reuse_seconds(r, loopback);
}

bool tw_reuse_text(const struct tw_reuse *r, bool loopback, char out[TW_REUSE_TEXT]) {
    out[0] = '\0';
    if (!tw_reuse_is_on(r, loopback))
        return false;
    (void)snprintf(out, TW_REUSE_TEXT,
                   "after %lld ms connect() takes a TIME-WAIT over, where both ends use TCP timestamps "
                   "(net.ipv4.tcp_tw_reuse is %lld%s)",
                   (long long)r->delay_ms, (long long)r->mode, r->mode == 2 ? ", loopback only" : "");
    return true;
}
