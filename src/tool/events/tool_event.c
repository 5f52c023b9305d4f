#include "tool/events/tool_event.h"

#include <string.h>
#include <unistd.h>

#include "tool/common/time_text.h"
#include "tool/host/netns.h"
#include "state/ring.h"

bool tool_event(const struct state *s, enum event_kind kind, const char *text) {
    struct event_record r = {.e = {.kind = (uint8_t)kind, .program = "connspread"}};
    r.e.time_us = time_now_us();
    r.e.netns = netns_cookie();
    r.e.pid = r.e.tid = (uint32_t)getpid();
    memcpy(r.u.text, text, strnlen(text, sizeof r.u.text - 1));
    return ring_write(s, &r);
}
