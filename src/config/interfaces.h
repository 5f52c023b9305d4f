/* interfaces.h - interface names as addresses, as they are when the config is loaded. */
#ifndef CONNSPREAD_CONFIG_INTERFACES_H
#define CONNSPREAD_CONFIG_INTERFACES_H

#include <stdint.h>

#include "net/addr.h"
#include "policy/policy.h"

struct addr;
struct ifaddrs;
struct policy_source;

/* Calls add with each address of an interface; returns how many, or -1 if there is no such interface. */
int interface_sources(const struct ifaddrs *all, const char *name,
                      void (*add)(void *context, const struct policy_source *), void *context);

/* Why no connect should leave from an address though an interface has it, for as long as that lasts. NULL: nothing is
 * known against it; so it is with IPv4, which has no such states. */
const char *interface_fault(const struct addr *a);

/* Index of the interface that holds an address; 0: none does. */
uint32_t interface_of(const struct ifaddrs *all, const struct addr *a);

#endif
