#include "config/interfaces.h"

#include <ifaddrs.h>
#include <net/if.h>
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

uint32_t interface_of(const struct ifaddrs *all, const struct addr *a) {
    struct endpoint address;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next)
        if (address_of(i, &address) && addr_compare(&address.addr, a) == 0)
            return if_nametoindex(i->ifa_name);
    return 0;
}
