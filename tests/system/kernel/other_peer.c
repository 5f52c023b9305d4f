/* A descriptor becomes another connection behind libc's back: getpeername is asked of that then.
 *
 *     other_peer ADDRESS PORT OTHER OTHER-PORT
 *
 * Each other connect to ADDRESS PORT goes to another endpoint (also-to, show-peer = "asked"). Prints the peers. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"

static int connected(const char *text, const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (inet_pton(AF_INET, text, &a.sin_addr) != 1 || connect(fd, (const struct sockaddr *)&a, sizeof a) != 0)
        exit(2);
    return fd;
}

static void print_peer(int fd) {
    struct sockaddr_in peer = {0};
    socklen_t length = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &length) != 0)
        exit(2);
    puts(inet_ntoa(peer.sin_addr));
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    for (int i = 0; i < 2; i++) {
        int fd = connected(argv[1], argv[2]), other = connected(argv[3], argv[4]);
        print_peer(fd);
        if (sys_call3(SYS_dup3, other, fd, 0) < 0)
            return 2;
        print_peer(fd);
    }
    return 0;
}
