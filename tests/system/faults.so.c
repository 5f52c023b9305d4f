/* Preloaded behind the shim: before the shim's constructor runs, installs a seccomp filter that hands every system call
 * whose instruction lies in libconnspread.so to the tracer (faults.c). The client's own calls, which come from libc,
 * are let alone. Without a tracer they fail with ENOSYS. */
#include <errno.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct text {
    uint64_t from, to;
};

static int find(struct dl_phdr_info *info, size_t size, void *out) {
    struct text *text = out;
    (void)size;
    if (!strstr(info->dlpi_name, "libconnspread.so"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && p->p_flags & PF_X) {
            text->from = info->dlpi_addr + p->p_vaddr;
            text->to = text->from + p->p_memsz;
        }
    }
    return 1;
}

#define HALF(member, high) (uint32_t)(offsetof(struct seccomp_data, member) + ((high) ? 4 : 0))

__attribute__((constructor)) static void install(void) {
    struct text text = {0};
    (void)dl_iterate_phdr(find, &text);
    if (text.from == 0 || text.from >> 32 != text.to >> 32) {
        (void)fputs("faults: where is libconnspread.so?\n", stderr);
        _exit(99);
    }
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HALF(instruction_pointer, 1)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(text.from >> 32), 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HALF(instruction_pointer, 0)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)text.from, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)text.to, 1, 0),
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
