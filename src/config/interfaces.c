#include "config/interfaces.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/addr.h"
#include "policy/policy.h"

/* getifaddrs names an IPv4 alias by its label, "eth0:1". */
static bool is_named(const struct ifaddrs *i, const char *name) {
    size_t length = strlen(name);
    return strncmp(i->ifa_name, name, length) == 0 && (i->ifa_name[length] == '\0' || i->ifa_name[length] == ':');
}

static bool address_of(const struct ifaddrs *i, struct endpoint *out) {
    if (!i->ifa_addr)
        return false;
    size_t length = i->ifa_addr->sa_family == AF_INET ? 16 : i->ifa_addr->sa_family == AF_INET6 ? 28 : 0;
    return length && endpoint_from_sockaddr(out, i->ifa_addr, length);
}

int interface_sources(const struct ifaddrs *all, const char *name,
                      void (*add)(void *context, const struct policy_source *), void *context) {
    struct endpoint address;
    bool found = false;
    int count = 0;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (!is_named(i, name))
            continue;
        found = true;
        if (!address_of(i, &address))
            continue;
        struct policy_source source = {.first = address.addr, .count = 1};
        if (addr_scope(&address.addr) == SCOPE_V6_LINK)
            source.interface = address.scope;
        add(context, &source);
        count++;
    }
    return found ? count : -1;
}

enum { DIGITS = 32 };

/* The flags in a line of /proc/net/if_inet6: the address in 32 digits, then in hex the interface, the length of the
 * prefix, the scope and the flags. 0: the line is of another address. */
static unsigned flags_in(const char *line, const char want[DIGITS + 1]) {
    unsigned long flags = 0;
    if (strncmp(line, want, DIGITS) != 0)
        return 0;
    char *end = (char *)(unsigned long)(line + DIGITS);
    for (unsigned i = 0; i < 4; i++)
        flags = strtoul(end, &end, 16);
    return (unsigned)flags;
}

const char *interface_fault(const struct addr *a) {
    enum { OPTIMISTIC = 0x04, DAD_FAILED = 0x08, DEPRECATED = 0x20, TENTATIVE = 0x40 };
    char line[128], want[DIGITS + 1];
    unsigned flags = 0;
    for (unsigned i = 0; i < sizeof a->b; i++)
        (void)snprintf(want + 2 * i, 3, "%02x", a->b[i]);
    FILE *file = addr_is_v4(a) ? NULL : fopen("/proc/net/if_inet6", "re");
    while (file && !flags && fgets(line, sizeof line, file))
        flags = flags_in(line, want);
    if (file)
        fclose(file);
    if (flags & DAD_FAILED)
        return "dadfailed: another host has it (duplicate address detection failed)";
    if ((flags & TENTATIVE) && !(flags & OPTIMISTIC))
        return "tentative: duplicate address detection has not finished";
    return flags & DEPRECATED ? "deprecated: its preferred lifetime is over, and it will go" : NULL;
}

uint32_t interface_of(const struct ifaddrs *all, const struct addr *a) {
    struct endpoint address;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next)
        if (address_of(i, &address) && addr_compare(&address.addr, a) == 0)
            return if_nametoindex(i->ifa_name);
    return 0;
}
