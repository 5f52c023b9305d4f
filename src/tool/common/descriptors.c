#include "tool/common/descriptors.h"

#include <sys/syscall.h>
#include <unistd.h>

void descriptors_close_from(int first) {
#ifdef __GLIBC__
    closefrom(first);
#else
    /* musl has neither closefrom nor, in all of its versions, close_range. */
    if (syscall(SYS_close_range, first, ~0U, 0) == 0)
        return;
    long limit = sysconf(_SC_OPEN_MAX);
    for (int fd = first; fd < limit; fd++)
        close(fd);
#endif
}
