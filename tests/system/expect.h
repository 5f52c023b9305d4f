/* What a client expects of its calls: told on stderr when it is not so, and counted, by any thread. */
#ifndef EXPECT_H
#define EXPECT_H

#include <errno.h>
#include <stdio.h>

static int failures;

#define EXPECT(what)                                                                                                   \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);                                                        \
            dprintf(2, "line %d: %s, errno %d\n", __LINE__, #what, errno);                                             \
        }                                                                                                              \
    } while (0)

#endif
