#include "net/attribute.h"

#include <linux/rtnetlink.h>
#include <string.h>

const void *attribute_find(const void *attributes, size_t size, unsigned type, size_t bytes) {
    const char *from = attributes;
    struct rtattr a;
    for (size_t at = 0; at < size && size - at >= sizeof a; at += RTA_ALIGN(a.rta_len)) {
        memcpy(&a, from + at, sizeof a);
        if (a.rta_len < sizeof a || a.rta_len > size - at)
            return NULL;
        if (a.rta_type == type && a.rta_len >= RTA_LENGTH(bytes))
            return from + at + RTA_LENGTH(0);
    }
    return NULL;
}
