#include "tool/supervise/desk.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

enum { ANSWER_ROOM = 128 };

struct desk *desk_new(void) {
    struct seccomp_notif_sizes sizes;
    if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0)
        return NULL;
    if (sizes.seccomp_notif > sizeof(union desk_place) || sizes.seccomp_notif_resp > ANSWER_ROOM)
        return NULL;
    void *p = mmap(NULL, sizeof(struct desk), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void clear(union desk_place *place) {
    __atomic_store_n(&place->call.id, 0, __ATOMIC_RELAXED);
    memset(place, 0, sizeof *place); /* as the kernel wants it */
}

bool desk_take(int listener, union desk_place *place) {
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, place) == 0)
        return true;
    clear(place);
    return false;
}

bool desk_is_over(int listener, int wait_ms) {
    struct pollfd p = {.fd = listener};
    return poll(&p, 1, wait_ms) == 1 && p.revents & POLLHUP;
}

bool desk_is_valid(int listener, uint64_t id) {
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

static void send_answer(int listener, union desk_place *place, const struct seccomp_notif_resp *answer) {
    union {
        struct seccomp_notif_resp answer;
        unsigned char room[ANSWER_ROOM];
    } a = {.room = {0}};
    a.answer = *answer;
    a.answer.id = place->call.id;
    /* ENOENT: the client's thread is gone, or a signal took the call back. */
    (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &a);
    clear(place);
}

void desk_continue(int listener, union desk_place *place) {
    send_answer(listener, place, &(struct seccomp_notif_resp){.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE});
}

void desk_answer(int listener, union desk_place *place, int64_t value, int error) {
    send_answer(listener, place, &(struct seccomp_notif_resp){.val = error ? 0 : value, .error = -error});
}

void desk_wake_at_once(int listener) {
    (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}
