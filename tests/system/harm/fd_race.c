/* Descriptors that change hands under a connect. Pairs of threads: one connects to a host that never answers; the other
 * waits until that connect sleeps in the kernel, gives its number to another socket, and only then lets it fail. What
 * the number stands for now must be as its owner made it.
 *
 *     fd_race icmp ROUNDS PAIRS DEAD DEVICE LIVE LIVE-PORT   connects that end by an ICMP error, sent by us
 *     fd_race wait ROUNDS PAIRS FULL FULL-PORT               connects that wait for a quadruplet
 *
 * Prints "ROUNDS rounds, LIVE connections, DISCARDED discarded". Exit 1 at the first socket that was touched. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

enum { PAIRS = 64, FIRST_PORT = 7100, HOSTS = 8, QUOTED = 28, LIVE_EVERY = 8 };

struct pair {
    unsigned number;
    int fd; /* what the connecting thread is told to connect, and whither */
    struct sockaddr_in to;
    int error;
    atomic_int tid;
    sem_t go, done, syn;
    atomic_uint expected;    /* the host that this round's SYN is for: one of an earlier round may be seen late */
    atomic_bool seen, armed; /* armed: the number has changed hands, SYNs are answered at once */
    unsigned char quoted[QUOTED];
};

static struct pair pairs[PAIRS];
static struct sockaddr_in dead, live;
static atomic_long rounds, connections, discarded;
static long wanted;
static int icmp_socket, packet_socket;

__attribute__((noreturn)) static void fail(const char *what, unsigned kind, long value) {
    printf("%s (kind %u): %ld\n", what, kind, value);
    fflush(stdout);
    _exit(1);
}

static struct sockaddr_in address(const char *text, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
        fail("no address", 0, port);
    return a;
}

/* --- the network: no host answers, we do --- */

static void answer(const struct pair *p) {
    struct {
        struct icmphdr head;
        unsigned char quoted[QUOTED];
    } message = {.head = {.type = ICMP_DEST_UNREACH, .code = ICMP_HOST_UNREACH}};
    struct sockaddr_in to = {.sin_family = AF_INET};
    uint32_t sum = 0;
    memcpy(message.quoted, p->quoted, QUOTED);
    memcpy(&to.sin_addr, p->quoted + offsetof(struct iphdr, saddr), sizeof to.sin_addr);
    for (size_t i = 0; i < sizeof message; i += 2) {
        uint16_t word;
        memcpy(&word, (unsigned char *)&message + i, 2);
        sum += word;
    }
    sum = (sum >> 16) + (sum & 0xffff);
    message.head.checksum = (uint16_t) ~(sum + (sum >> 16));
    (void)sendto(icmp_socket, &message, sizeof message, 0, (struct sockaddr *)&to, sizeof to);
}

/* A SYN that comes again, since the answer to the first was lost (its thread was not asleep yet), is answered here. */
static void *network(void *unused) {
    unsigned char packet[128];
    for (;;) {
        ssize_t n = recv(packet_socket, packet, sizeof packet, 0);
        struct iphdr ip;
        struct tcphdr tcp;
        if (n < (ssize_t)(sizeof ip + sizeof tcp))
            continue;
        memcpy(&ip, packet, sizeof ip);
        memcpy(&tcp, packet + sizeof ip, sizeof tcp);
        unsigned number = ntohs(tcp.dest) - (unsigned)FIRST_PORT;
        if (ip.protocol != IPPROTO_TCP || number >= PAIRS || !tcp.syn)
            continue;
        struct pair *p = &pairs[number];
        if (atomic_load(&p->expected) != ip.daddr)
            continue;
        if (atomic_load(&p->armed)) {
            answer(p);
        } else if (!atomic_exchange(&p->seen, true)) {
            memcpy(p->quoted, packet, QUOTED);
            sem_post(&p->syn);
        }
    }
    return unused;
}

static void open_network(const char *device) {
    struct sockaddr_ll at = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(device)};
    pthread_t t;
    icmp_socket = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    packet_socket = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
    if (icmp_socket < 0 || packet_socket < 0 || bind(packet_socket, (struct sockaddr *)&at, sizeof at) != 0 ||
        pthread_create(&t, NULL, network, NULL) != 0)
        fail("no network", 0, errno);
}

/* --- what the number becomes --- */

enum kind { KIND_CLOSE, KIND_DUP2, KIND_RAW, KIND_OTHER, KINDS };

static int made(int type) {
    int fd = socket(AF_INET, type, 0);
    if (fd < 0)
        fail("socket", 0, errno);
    return fd;
}

static int swap(int fd, enum kind kind) {
    int fresh;
    switch (kind) {
    case KIND_CLOSE: /* and whoever asks next gets the number */
        (void)close(fd);
        return made(SOCK_STREAM);
    case KIND_RAW: /* behind libc's back */
        (void)sys_call1(SYS_close, fd);
        return (int)sys_call3(SYS_socket, AF_INET, SOCK_STREAM, 0);
    default:
        fresh = made(kind == KIND_OTHER ? SOCK_DGRAM : SOCK_STREAM);
        if (dup2(fresh, fd) != fd)
            fail("dup2", kind, errno);
        (void)close(fresh);
        return fd;
    }
}

static long option(int fd, int option) {
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(fd, SOL_IP, option, &value, &length) == 0 ? value : -errno;
}

/* As its owner made it: raw, so that the look itself changes nothing. */
static void check(int fd, enum kind kind) {
    struct sockaddr_in name = {0};
    socklen_t length = sizeof name;
    if (sys_call3(SYS_getsockname, fd, &name, &length) != 0 || name.sin_addr.s_addr != 0 || name.sin_port != 0)
        fail("somebody else's socket is bound", kind, ntohs(name.sin_port));
    length = sizeof name;
    if (sys_call3(SYS_getpeername, fd, &name, &length) != -ENOTCONN)
        fail("somebody else's socket is connected", kind, ntohs(name.sin_port));
    if (kind == KIND_OTHER)
        return;
    if (option(fd, IP_BIND_ADDRESS_NO_PORT) != 0 || option(fd, IP_LOCAL_PORT_RANGE) > 0)
        fail("somebody else's socket has options of ours", kind, option(fd, IP_LOCAL_PORT_RANGE));
}

/* Its owner uses it, and it is recorded as its owner's. */
static void use(int fd) {
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    if (connect(fd, (struct sockaddr *)&live, sizeof live) != 0)
        fail("connect to the host that lives", 0, errno);
    if (getpeername(fd, (struct sockaddr *)&name, &length) != 0 || name.sin_port != live.sin_port)
        fail("connected elsewhere", 0, ntohs(name.sin_port));
    atomic_fetch_add(&connections, 1);
}

static void give_back(int fd, enum kind kind) {
    if (kind == KIND_RAW)
        (void)sys_call1(SYS_close, fd);
    else
        (void)close(fd);
}

/* --- the two threads of a pair --- */

static void *connector(void *argument) {
    struct pair *p = argument;
    atomic_store(&p->tid, (int)sys_call0(SYS_gettid));
    for (;;) {
        while (sem_wait(&p->go) != 0) {
        }
        p->error = connect(p->fd, (struct sockaddr *)&p->to, sizeof p->to) == 0 ? 0 : errno;
        sem_post(&p->done);
    }
    return NULL;
}

/* The SYN of this round's connect. One of an earlier round to the same host may be read late: it has another port. */
static void wait_for_syn(struct pair *p) {
    for (;;) {
        struct sockaddr_in name = {0};
        socklen_t length = sizeof name;
        struct tcphdr tcp;
        while (sem_wait(&p->syn) != 0) {
        }
        memcpy(&tcp, p->quoted + sizeof(struct iphdr), 4); /* both ports */
        (void)sys_call3(SYS_getsockname, p->fd, &name, &length);
        if (name.sin_port == tcp.source)
            return;
        atomic_store(&p->seen, false);
    }
}

static void *swap_under_icmp(void *argument) {
    struct pair *p = argument;
    unsigned turn = 0;
    for (long round; (round = atomic_fetch_add(&rounds, 1)) < wanted;) {
        enum kind kind = (enum kind)(round % KINDS);
        p->fd = made(SOCK_STREAM);
        p->to.sin_port = htons((uint16_t)(FIRST_PORT + p->number));
        p->to.sin_addr.s_addr = htonl(ntohl(dead.sin_addr.s_addr) + turn++ % HOSTS);
        atomic_store(&p->armed, false);
        atomic_store(&p->seen, false);
        atomic_store(&p->expected, p->to.sin_addr.s_addr);
        sem_post(&p->go);
        wait_for_syn(p);
        int fd = swap(p->fd, kind);
        atomic_store(&p->armed, true);
        answer(p);
        while (sem_wait(&p->done) != 0) {
        }
        if (p->error != EHOSTUNREACH)
            fail("errno of the connect", kind, p->error);
        check(fd, kind);
        if (kind < KIND_RAW && round / KINDS % LIVE_EVERY == 0)
            use(fd);
        give_back(fd, kind);
    }
    return NULL;
}

/* How often the connecting thread has slept so far, if it is in our ppoll now; else -1. */
static long sleeps(const struct pair *p) {
    char path[64], text[4096], *at;
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", atomic_load(&p->tid));
    for (int look = 0; look < 2; look++) {
        int file = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = file < 0 ? -1 : read(file, text, sizeof text - 1);
        if (file >= 0)
            (void)close(file);
        text[n > 0 ? n : 0] = 0;
        if (look == 0) {
            if (n <= 0 || strtol(text, NULL, 10) != SYS_ppoll)
                return -1;
            snprintf(path, sizeof path, "/proc/self/task/%d/status", atomic_load(&p->tid));
        }
    }
    at = strstr(text, "\nvoluntary_ctxt_switches:");
    return at ? strtol(at + 25, NULL, 10) : -1;
}

/* Only a round counts in which the number changed hands within one sleep of the other thread, and where others keep the
 * processor, that may have waited to its end before it was seen to sleep. */
static void *swap_under_wait(void *argument) {
    struct pair *p = argument;
    for (long round; (round = atomic_fetch_add(&rounds, 1)) < wanted;) {
        enum kind kind = (enum kind)(round % KINDS);
        long before;
        p->fd = made(SOCK_STREAM);
        sem_post(&p->go);
        bool over = false;
        while (!over && (before = sleeps(p)) < 0)
            over = sem_trywait(&p->done) == 0;
        if (over) {
            atomic_fetch_add(&discarded, 1);
            (void)close(p->fd);
            continue;
        }
        int fd = swap(p->fd, kind);
        bool within = sleeps(p) == before;
        while (sem_wait(&p->done) != 0) {
        }
        if (within)
            check(fd, kind);
        else
            atomic_fetch_add(&discarded, 1);
        if (within && p->error != EADDRNOTAVAIL)
            fail("errno of the connect", kind, p->error);
        give_back(fd, kind);
    }
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t swapper[PAIRS], t;
    if (argc < 6)
        return 2;
    bool wait = strcmp(argv[1], "wait") == 0;
    unsigned n = (unsigned)atoi(argv[3]);
    wanted = atol(argv[2]);
    dead = address(argv[4], wait ? atoi(argv[5]) : 0);
    if (!wait) {
        live = address(argv[6], atoi(argv[7]));
        open_network(argv[5]);
    }
    for (unsigned i = 0; i < n && i < PAIRS; i++) {
        struct pair *p = &pairs[i];
        p->number = i;
        p->to = dead;
        sem_init(&p->go, 0, 0);
        sem_init(&p->done, 0, 0);
        sem_init(&p->syn, 0, 0);
        if (pthread_create(&t, NULL, connector, p) != 0 ||
            pthread_create(&swapper[i], NULL, wait ? swap_under_wait : swap_under_icmp, p) != 0)
            fail("no thread", 0, errno);
    }
    for (unsigned i = 0; i < n && i < PAIRS; i++)
        pthread_join(swapper[i], NULL);
    printf("%ld rounds, %ld connections, %ld discarded\n", wanted, (long)connections, (long)discarded);
    fflush(stdout);
    _exit(0);
}
