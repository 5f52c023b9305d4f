#include "client/process.h"

#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <unistd.h>

#include "base/kernel_constants.h"
#include "client/client.h"
#include "base/sys.h"
#include "client/fdtab.h"

struct page {
    uint32_t pid;      /* 0: this process has not looked at its page yet */
    uint32_t beginner; /* its thread that forgets what it had of its parent */
    uint32_t begun;    /* pid, once that is forgotten */
};

static struct page *page;
static bool memory_shared;
static uint32_t generation = 1, first_generation = 1;
static uint32_t forking; /* threads that are in fork */

/* Cached so that an event costs no gettid. The generation makes the copy that a fork child inherits stale. */
static __thread struct { uint32_t pid, tid; } thread;

/* vfork.S: what the name stands for in this library, whatever comes first elsewhere. The tool has none. */
extern pid_t process_our_vfork(void) __attribute__((weak, visibility("hidden")));

static uint32_t kernel_pid(void) {
    return (uint32_t)sys_call0(SYS_getpid);
}

void process_fork_begins(void) {
    __atomic_fetch_add(&forking, 1, __ATOMIC_SEQ_CST);
}

void process_fork_ends(void) {
    process_shared_now();
    __atomic_fetch_sub(&forking, 1, __ATOMIC_SEQ_CST);
}

bool process_forking(void) {
    return __atomic_load_n(&forking, __ATOMIC_SEQ_CST) != 0;
}

void process_init(void) {
    page = sys_mmap(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    bool wiped = page && sys_call3(SYS_madvise, page, 4096, MADV_WIPEONFORK) == 0;
    if (page)
        page->pid = page->begun = kernel_pid();
    /* A library before us has a vfork of its own (AddressSanitizer's programs do): ours is not called. */
    if (!wiped || vfork != process_our_vfork)
        process_shares_memory();
}

/* By the first of the threads of a new child. The generation rises before any of them goes on. */
static void begin_as(struct client *client, uint32_t pid) {
    __atomic_store_n(&forking, 0, __ATOMIC_RELAXED);
    process_shared_now();
    __atomic_store_n(&first_generation, process_generation(), __ATOMIC_RELAXED);
    client->renewed(client);
    __atomic_store_n(&page->begun, pid, __ATOMIC_RELEASE);
}

/* By the others: what they wrote before the parent's records are forgotten would go into those, and be forgotten, too.
 * Not for ever: the thread that they wait for may have been cancelled. */
static void wait_for_begin(uint32_t pid) {
    enum { TRIES = 1000 };
    for (int tries = 0; tries < TRIES && __atomic_load_n(&page->begun, __ATOMIC_ACQUIRE) == 0; tries++)
        sys_sleep_ms(1);
    __atomic_store_n(&page->begun, pid, __ATOMIC_RELEASE);
}

/* A handler that interrupts the thread that begins goes on beside it, as it cannot be waited for. */
__attribute__((noinline)) static void begin_again(struct client *client, uint32_t pid) {
    if (sys_sealed()) { /* a child that may not even ask for its number: its memory is its own, so it alone is inert */
        __atomic_store_n(&client->active, false, __ATOMIC_RELEASE);
        return;
    }
    uint32_t beginner = 0, own = (uint32_t)sys_call0(SYS_gettid);
    __atomic_store_n(&page->pid, pid, __ATOMIC_RELAXED);
    if (__atomic_compare_exchange_n(&page->beginner, &beginner, own, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        begin_as(client, pid);
    else if (beginner != own)
        wait_for_begin(pid);
}

void process_refresh(struct client *client) {
    if (!page)
        return;
    uint32_t known = __atomic_load_n(&page->begun, __ATOMIC_ACQUIRE);
    /* In mode off a child without records has no use for its number, and asks for nothing. */
    if (known == 0 && (client_asks(client) || sys_sealed() || fd_next_tcp(0, INT_MAX) >= 0))
        begin_again(client, kernel_pid());
}

/* The child has one thread yet. */
void process_forked(struct client *client) {
    uint32_t begun = page ? __atomic_load_n(&page->begun, __ATOMIC_RELAXED) : 0;
    if (begun != 0 && begun != kernel_pid()) {
        __atomic_store_n(&page->beginner, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&page->begun, 0, __ATOMIC_RELEASE);
    }
    process_refresh(client);
}

uint32_t process_generation_now(struct client *client) {
    process_refresh(client);
    return process_generation();
}

bool process_may_record(struct client *client) {
    if (!page)
        return true;
    uint32_t known = __atomic_load_n(&page->begun, __ATOMIC_ACQUIRE);
    if (known != 0 && !__atomic_load_n(&memory_shared, __ATOMIC_RELAXED))
        return true;
    uint32_t pid = kernel_pid();
    if (known == pid)
        return true;
    /* The kernel wipes the page in every child but a vfork one. Where it cannot wipe, every child looks like a vfork
     * one: better to log nothing for a fork child than to spoil a parent's records. */
    if (known != 0)
        return false;
    begin_again(client, pid);
    return client_active(client);
}

/* Relaxed: it is the child's own word, written before it was born. */
void process_shares_memory(void) {
    __atomic_store_n(&memory_shared, true, __ATOMIC_RELAXED);
}

uint32_t process_generation(void) {
    return __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
}

void process_shared_now(void) {
    __atomic_fetch_add(&generation, 1, __ATOMIC_ACQ_REL);
}

uint32_t process_first_generation(void) {
    return __atomic_load_n(&first_generation, __ATOMIC_RELAXED);
}

uint32_t process_pid(void) {
    return page ? __atomic_load_n(&page->pid, __ATOMIC_RELAXED) : 0;
}

uint32_t process_tid(void) {
    uint32_t pid = process_pid();
    if (thread.pid != pid || thread.tid == 0) {
        long tid = sys_call0(SYS_gettid);
        if (tid < 0)
            return pid; /* sealed */
        thread.tid = (uint32_t)tid;
        thread.pid = pid;
    }
    return thread.tid;
}

bool process_single_threaded(void) {
    sys_stat st = {0};
    return sys_stat_of("/proc/self/task", &st) == 0 && st.st_nlink == 3; /* ".", "..", and one for each thread */
}

uint64_t process_born_ns(void) {
    char text[512];
    int fd = (int)sys_call4(SYS_openat, AT_FDCWD, "/proc/self/stat", O_RDONLY | O_CLOEXEC, 0);
    long n = fd < 0 ? -1 : sys_call3(SYS_read, fd, text, sizeof text - 1);
    if (fd >= 0)
        (void)sys_call1(SYS_close, fd);
    long at = n > 0 ? n : 0;
    while (at > 0 && text[at - 1] != ')') /* the name may hold anything, parentheses too */
        at--;
    unsigned field = 2;
    for (; at < n && field < 22; at++)
        field += text[at] == ' ';
    uint64_t ticks = 0;
    for (; at < n && text[at] >= '0' && text[at] <= '9'; at++)
        ticks = ticks * 10 + (uint64_t)(text[at] - '0');
    return ticks * 10000000u;
}
