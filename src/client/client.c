#include "client/client.h"

#include <string.h>

#include "base/kernel_constants.h"
#include "base/sys.h"
#include "base/text.h"
#include "state/control.h"
#include "state/history.h"

void client_name(struct client *client, const char *program, const char names[PROGRAM_NAMES_TEXT]) {
    size_t at = 0;
    memset(client->program, 0, sizeof client->program);
    text_add(client->program, sizeof client->program, &at, program);
    memcpy(client->names, names, sizeof client->names);
    client->names[sizeof client->names - 1] = '\0';
    client->program_key = history_program(client->program);
    client->names_key = 0xcbf29ce484222325u; /* FNV-1a */
    for (const char *c = client->names; *c; c++)
        client->names_key = (client->names_key ^ (unsigned char)*c) * 0x100000001b3u;
}

void client_know_kernel(struct client *client) {
    char field[6][65] = {{0}}; /* the kernel's struct new_utsname; release is the third */
    unsigned version[2] = {0};
    const char *p = field[2];
    if (sys_call1(SYS_uname, field) != 0)
        return;
    for (unsigned i = 0; i < 2; i++, p += *p == '.')
        for (; *p >= '0' && *p <= '9'; p++)
            version[i] = version[i] * 10 + (unsigned)(*p - '0');
    /* Linux 6.8 searches every port of a per-socket range in turn (commit 207184853dbd). */
    client->parity_step = version[0] < 6 || (version[0] == 6 && version[1] < 8);
    /* MPTCP_INFO: Linux 5.16 (commit 55c42fa7fa33). */
    client->mptcp_info = version[0] > 5 || (version[0] == 5 && version[1] >= 16);
}

/* Apart: only the first socket of most processes comes here. */
__attribute__((noinline)) static uint64_t ask_netns(struct client *client, int fd) {
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    if (sys_call5(SYS_getsockopt, fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0)
        return 0;
    __atomic_store_n(&client->netns, cookie, __ATOMIC_RELAXED);
    return cookie;
}

uint64_t client_netns(struct client *client, int fd) {
    uint64_t cookie = __atomic_load_n(&client->netns, __ATOMIC_RELAXED);
    bool varies = __atomic_load_n(&client->netns_varies, __ATOMIC_RELAXED);
    return cookie != 0 && !varies ? cookie : ask_netns(client, fd);
}
