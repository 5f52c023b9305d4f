/* lifecycles --seed S --from A --count N --to ADDRESS --to6 ADDRESS --port P [--only K] [--verbose]
 *
 * Random lives of TCP connections, from connect to the last close. A conductor gives orders to processes on both sides
 * and after each step waits until the kernel shows that both ends have seen it: so every step meets a known state, and
 * a lifecycle depends on seed and number alone. --only K --verbose replays one and says what it does.
 *
 * One line for each end, members separated by tabs: number, near or far (who connected, who accepted), local address
 * and port, peer address and port, the kernel's state in the end, row, family, "unsettled" if waiting took too long. */
#include <getopt.h>
#include <sys/prctl.h>

#include "lifecycles_walk.h"

static void listen_at(int number, const char *address, uint16_t port, int protocol) {
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in *v4 = (void *)&at;
    int on = 1, queue = 64, off = 0;
    if (address) {
        *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
        (void)inet_pton(AF_INET, address, &v4->sin_addr);
    }
    int fd = socket(address ? AF_INET : AF_INET6, SOCK_STREAM, protocol);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!address)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, (struct sockaddr *)&at, address ? sizeof *v4 : sizeof at) != 0 || listen(fd, 64) != 0)
        fail("listen");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof queue);
    if (dup2(fd, number) != number || close(fd) != 0)
        fail("dup2");
}

static uint64_t number_of(const char *text) {
    return strtoull(text, NULL, 10);
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"actor", required_argument, NULL, 'a'}, {"seed", required_argument, NULL, 's'},
        {"from", required_argument, NULL, 'f'},  {"count", required_argument, NULL, 'n'},
        {"to", required_argument, NULL, 't'},    {"to6", required_argument, NULL, '6'},
        {"port", required_argument, NULL, 'p'},  {"only", required_argument, NULL, 'o'},
        {"verbose", no_argument, NULL, 'v'},     {0},
    };
    static struct world w;
    uint64_t seed = 1, from = 0, count = 1;
    w.to = "127.0.0.1";
    w.to6 = "::1";
    w.port = 9000;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 'a':
            actor(optarg);
        case 's':
            seed = number_of(optarg);
            break;
        case 'o':
        case 'f':
            from = number_of(optarg);
            break;
        case 'n':
            count = number_of(optarg);
            break;
        case 't':
            w.to = optarg;
            break;
        case '6':
            w.to6 = optarg;
            break;
        case 'p':
            w.port = (uint16_t)number_of(optarg);
            break;
        case 'v':
            w.verbose = true;
            break;
        default:
            return 2;
        }
    for (int fd = CONTROL; fd < FIRST_FREE; fd++) {
        int null = open("/dev/null", O_RDWR);
        if (null != fd && (dup2(null, fd) != fd || close(null) != 0))
            fail("/dev/null");
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    w.netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    listen_at(LISTENER, w.to, w.port, 0);
    listen_at(LISTENER6, NULL, (uint16_t)(w.port + 1), 0);
    listen_at(LISTENER_MPTCP, w.to, (uint16_t)(w.port + 2), IPPROTO_MPTCP);
    for (uint64_t i = 0; i < count; i++)
        lifecycle(&w, seed, from + i);
    for (enum side side = NEAR; side <= FAR; side++)
        if (w.process[side].alive)
            end_process(&w, (int)side, END_EXIT);
    return 0;
}
