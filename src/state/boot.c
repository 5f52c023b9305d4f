#include "state/boot.h"

#include <fcntl.h>

#include "base/sys.h"

enum { DIGITS = 16, TEXT = 24 };

/* "0a1b2c3d-4e5f-..." */
uint64_t boot_number(void) {
    char text[TEXT];
    uint64_t number = 0;
    int fd = (int)sys_call4(SYS_openat, AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    long n = sys_call3(SYS_read, fd, text, sizeof text);
    (void)sys_call1(SYS_close, fd);
    unsigned digits = 0;
    for (long i = 0; i < n && digits < DIGITS; i++) {
        char c = text[i];
        if (c == '-')
            continue;
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return 0;
        number = number << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        digits++;
    }
    return digits == DIGITS ? number : 0;
}

bool boot_made(const struct state_header *header, uint64_t boot) {
    uint64_t made = __atomic_load_n(&header->boot, __ATOMIC_RELAXED);
    return made == 0 || boot == 0 || made == boot;
}
