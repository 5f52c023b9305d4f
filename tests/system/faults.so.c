/* Preloaded behind the shim: before the shim's constructor runs, installs a seccomp filter that hands every system call
 * whose instruction lies in libconnspread.so to the tracer (faults.c). The client's own calls, which come from libc,
 * are let alone. Without a tracer they fail with ENOSYS. */
#include <errno.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct text {
    uint64_t first, last; /* addresses */
};

static int find(struct dl_phdr_info *info, size_t size, void *out) {
    struct text *text = out;
    (void)size;
    if (!strstr(info->dlpi_name, "libconnspread.so"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && p->p_flags & PF_X) {
            text->first = info->dlpi_addr + p->p_vaddr;
            text->last = text->first + p->p_memsz - 1;
        }
    }
    return 1;
}

#define IP(high)                                                                                                       \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + ((high) ? 4 : 0))
#define IF(test, k, yes, no) BPF_JUMP(BPF_JMP | test | BPF_K, (uint32_t)(k), yes, no)

/* The filter compares 32 bits at a time, and the text may lie across a border between two multiples of 4 GiB. So it is
 * looked at as two pieces, always. */
__attribute__((constructor)) static void install(void) {
    struct text a = {0}, b;
    (void)dl_iterate_phdr(find, &a);
    if (a.first == 0) {
        (void)fputs("faults: where is libconnspread.so?\n", stderr);
        _exit(99);
    }
    uint64_t border = a.last >> 32 << 32;
    b.last = a.last;
    b.first = border > a.first ? border : a.first + (a.last - a.first) / 2;
    a.last = b.first - 1;
    struct sock_filter filter[] = {
        IP(true),
        IF(BPF_JEQ, a.first >> 32, 0, 3),
        IP(false),
        IF(BPF_JGE, a.first, 0, 1),
        IF(BPF_JGT, a.last, 0, 5),
        IP(true),
        IF(BPF_JEQ, b.first >> 32, 0, 4),
        IP(false),
        IF(BPF_JGE, b.first, 0, 2),
        IF(BPF_JGT, b.last, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
        perror("faults: seccomp");
        _exit(99);
    }
}
