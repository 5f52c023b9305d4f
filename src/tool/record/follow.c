#include "tool/record/follow.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"
#include "config/load.h"
#include "net/addr.h"
#include "net/attribute.h"
#include "state/control.h"
#include "state/folder.h"
#include "state/pair.h"
#include "state/pair_table.h"
#include "tool/events/tool_event.h"

/* Addresses come and go in groups. */
#define SETTLE_NS ((uint64_t)100 * 1000000)
enum { ERRORS = 1024, MESSAGE = 8192, AT_ONCE = 1000 /* messages; what comes then is for the next round */ };

void follow_begin(struct follow *f) {
    struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    /* Due at once: they may have changed while no recorder ran. */
    *f = (struct follow){.due = 1,
                         .netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)};
    if (f->netlink >= 0 && bind(f->netlink, (struct sockaddr *)&name, sizeof name) != 0)
        follow_end(f);
}

void follow_end(struct follow *f) {
    if (f->netlink >= 0)
        close(f->netlink);
    f->netlink = -1;
}

/* It is on this host: what bound it in vain before need not wait for the end of its quarantine. */
static void welcome(const struct state *s, uint64_t netns, const struct nlmsghdr *m) {
    struct ifaddrmsg about;
    memcpy(&about, NLMSG_DATA(m), sizeof about);
    const char *attributes = (const char *)m + NLMSG_SPACE(sizeof about);
    size_t bytes = m->nlmsg_len - NLMSG_SPACE(sizeof about), size = about.ifa_family == AF_INET ? 4 : 16;
    /* IFA_ADDRESS is the peer's where there is an IFA_LOCAL. */
    const void *found = attribute_find(attributes, bytes, IFA_LOCAL, size);
    if (!found)
        found = attribute_find(attributes, bytes, IFA_ADDRESS, size);
    if (!found)
        return;
    struct addr address = addr_from_v4(0);
    memcpy(address.b + 16 - size, found, size);
    (void)pair_worked(pair_find(s, pair_key(netns, &address, NULL), false, clock_ns(CLOCK_MONOTONIC)));
}

static void read_messages(const struct state *s, uint64_t netns, const void *from, size_t size) {
    struct nlmsghdr m;
    for (size_t at = 0; size - at >= sizeof m; at += NLMSG_ALIGN(m.nlmsg_len)) {
        memcpy(&m, (const char *)from + at, sizeof m);
        if (m.nlmsg_len < sizeof m || m.nlmsg_len > size - at)
            return;
        if (m.nlmsg_type == RTM_NEWADDR && m.nlmsg_len >= NLMSG_SPACE(sizeof(struct ifaddrmsg)))
            welcome(s, netns, (const struct nlmsghdr *)(const void *)((const char *)from + at));
        if (NLMSG_ALIGN(m.nlmsg_len) > size - at)
            return;
    }
}

/* Whatever it says, the addresses are looked up; so messages that were lost (ENOBUFS) are as good as any. */
static bool has_changed(int netlink, const struct state *s, uint64_t netns) {
    union {
        struct nlmsghdr aligned;
        char bytes[MESSAGE];
    } message;
    bool changed = false;
    for (unsigned i = 0; i < AT_ONCE; i++) {
        ssize_t n = recv(netlink, &message, sizeof message, 0);
        if (n < 0 && errno != ENOBUFS && errno != EINTR)
            break;
        if (n > 0)
            read_messages(s, netns, &message, (size_t)n);
        changed |= n != 0;
    }
    return changed;
}

/* Titles have numbers once they are published. */
static bool differs(struct policy *now, const struct policy *live) {
    for (unsigned i = 0; i < POLICY_POOLS; i++)
        now->pool[i].title_id = live->pool[i].title_id;
    for (unsigned i = 0; i < POLICY_RULES; i++)
        now->rule[i].title_id = live->rule[i].title_id;
    return memcmp(now, live, sizeof *now) != 0;
}

static void compile_again(struct state *s, const char *state_file, struct policy *live, struct policy *now) {
    char errors[ERRORS], folder[STATE_PATH], text[EVENT_TEXT];
    if (!state_policy(s, live) || !memchr(live->path, 0, sizeof live->path) || !live->path[0])
        return;
    if (config_load(live->path, now, errors, sizeof errors) > 0 ||
        memcmp(&now->origin, &live->origin, sizeof now->origin) != 0 || !differs(now, live))
        return;
    if (!folder_of(folder, state_file) || !state_publish(s, now, folder))
        return;
    snprintf(text, sizeof text, "policy generation %llu from %.120s: the addresses of an interface have changed",
             (unsigned long long)__atomic_load_n(&s->header->generation, __ATOMIC_RELAXED), live->path);
    (void)tool_event(s, EVENT_RELOAD, text);
}

void follow_round(struct follow *f, struct state *s, const char *state_file, uint64_t netns) {
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (f->netlink >= 0 && has_changed(f->netlink, s, netns))
        f->due = now + SETTLE_NS;
    if (f->due == 0 || now < f->due)
        return;
    f->due = 0;
    struct policy *both = calloc(2, sizeof *both);
    if (both)
        compile_again(s, state_file, &both[0], &both[1]);
    free(both);
}
