#include "tool/supervise/alone.h"

#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include "tool/common/descriptors.h"

enum { STANDARD = 3 };

static bool is_kept(int fd, const int *kept, unsigned n) {
    while (n > 0)
        if (kept[--n] == fd)
            return true;
    return false;
}

void alone(const int *kept, unsigned n) {
    int last = STANDARD - 1;
    for (unsigned i = 0; i < n; i++)
        last = kept[i] > last ? kept[i] : last;
    for (int fd = STANDARD; fd < last; fd++)
        if (!is_kept(fd, kept, n))
            close(fd);
    descriptors_close_from(last + 1);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; null >= 0 && fd < STANDARD; fd++)
        (void)dup2(null, fd);
    if (null >= STANDARD)
        close(null);
    (void)!chdir("/");
}
