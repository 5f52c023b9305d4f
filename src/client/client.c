#include "client/client.h"

#include <string.h>

#include "base/kernel_constants.h"
#include "client/arm.h"
#include "client/open_table.h"
#include "client/process.h"
#include "close/deferred.h"
#include "state/ring.h"
#include "base/sys.h"
#include "base/text.h"
#include "state/control.h"

struct client client = {.env_mode = MODE_FROM_POLICY};

bool client_asks(void) {
    struct settings settings;
    if (!client_active() || sys_sealed() || client.env_mode == MODE_OFF)
        return false;
    return state_settings(&client.state, NULL, &settings) && client_mode(&settings) != MODE_OFF;
}

void client_new_process(void) {
    if (!client_active())
        return;
    __atomic_store_n(&client.attached, 0, __ATOMIC_RELAXED);
    arm_forget();
    fd_forget_closing();
    unsettled_forget();
    held_inherit();
}

enum policy_mode client_mode(const struct settings *settings) {
    if (client.env_mode < MODE_COUNT)
        return (enum policy_mode)client.env_mode;
    struct control c = control_unpack(__atomic_load_n(&client.state.header->control, __ATOMIC_RELAXED));
    uint8_t mode = c.has_mode ? c.mode : settings->mode;
    return mode < MODE_COUNT ? (enum policy_mode)mode : MODE_OFF;
}

uint64_t client_netns(int fd) {
    uint64_t cookie = __atomic_load_n(&client.netns, __ATOMIC_RELAXED);
    bool varies = __atomic_load_n(&client.netns_varies, __ATOMIC_RELAXED);
    if (cookie != 0 && !varies)
        return cookie;
    socklen_t length = sizeof cookie;
    if (sys_call5(SYS_getsockopt, fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0)
        return 0;
    __atomic_store_n(&client.netns, cookie, __ATOMIC_RELAXED);
    return cookie;
}

void client_attach(int fd, enum arm arm) {
    if (__atomic_load_n(&client.attached, __ATOMIC_RELAXED))
        return;
    if (__atomic_exchange_n(&client.attached, 1, __ATOMIC_RELAXED))
        return;
    char text[128];
    size_t at = 0;
    (void)client_netns(fd);
    state_count(&client.state, arm, COUNT_ATTACHED);
    text_add(text, sizeof text, &at, "connspread " VERSION ", policy generation ");
    text_add_number(text, sizeof text, &at, __atomic_load_n(&client.state.header->generation, __ATOMIC_RELAXED));
    event_of_text(EVENT_ATTACH, arm, text);
}

void event_begin(struct event_record *r, enum event_kind kind, enum arm arm) {
    bool one_cell = kind == EVENT_TIME_WAIT || kind == EVENT_CLOSE;
    memset(r, 0, one_cell ? sizeof r->e : sizeof *r);
    r->e.kind = (uint8_t)kind;
    r->e.arm = (uint8_t)arm;
    r->e.time_us = clock_ns(CLOCK_REALTIME) / 1000;
    r->e.pid = process_pid();
    r->e.tid = process_tid();
    r->e.netns = __atomic_load_n(&client.netns, __ATOMIC_RELAXED);
    memcpy(r->e.program, client.program, EVENT_PROGRAM);
}

void event_of_conn(struct event_record *r, enum event_kind kind, const struct conn *c, uint64_t now) {
    event_begin(r, kind, c->arm < ARMS ? (enum arm)c->arm : ARM_CONTROL);
    r->e.direction = conn_flags(c) & CONN_INBOUND ? INBOUND : OUTBOUND;
    r->e.local = c->source;
    r->e.local_port = c->local_port;
    r->e.peer = c->peer.addr;
    r->e.peer_port = c->peer.port;
    r->e.rule_id = c->rule_id;
    r->e.pool_id = c->pool_id;
    r->e.age_us = c->connected_ns && now > c->connected_ns ? (now - c->connected_ns) / 1000 : 0;
}

void event_of_text(enum event_kind kind, enum arm arm, const char *text) {
    struct event_record r;
    size_t at = 0;
    event_begin(&r, kind, arm);
    text_add(r.u.text, sizeof r.u.text, &at, text);
    (void)ring_write(&client.state, &r);
}
