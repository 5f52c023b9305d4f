/* attribute.h - the attributes that follow a netlink message's own header (struct rtattr, the same as struct nlattr).
 *
 * Whatever a message says, no byte beyond size is read. Pure and async-signal-safe. */
#ifndef CONNSPREAD_NET_ATTRIBUTE_H
#define CONNSPREAD_NET_ATTRIBUTE_H

#include <stddef.h>

/* The first of this type that holds at least so many bytes; NULL: there is none. It may lie at any address. */
const void *attribute_find(const void *attributes, size_t size, unsigned type, size_t bytes);

#endif
