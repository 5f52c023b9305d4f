/* plain_client ADDRESS PORT N: N connections, one after the other, each closed by us. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    for (int i = 0; i < atoi(argv[3]); i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
        if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || connect(fd, (void *)&to, sizeof to) != 0) {
            perror("connect");
            return 1;
        }
        close(fd);
    }
    return 0;
}
