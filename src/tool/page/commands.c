#include "tool/page/commands.h"

#include <string.h>

#include "tool/common/strbuf.h"

/* @to: the destination as ss wants it, @host its address, @port its port, @from the local address. */
static const char *const command[REMEDIES] = {
    [REMEDY_REUSE_CONNECTIONS] = ("# how many there are now\nss -Htan state time-wait dst '@to' | wc -l\n"
                                  "# which program leaves them\nconnspread log --event time-wait -n 20"),
    [REMEDY_LIMIT_OPEN] = "# which process has how many, now\nss -Htanp state established dst '@to'",
    [REMEDY_CLOSE_IN_SERVER] = "# on the server\nss -Htanp state close-wait 'sport = :@port'",
    [REMEDY_FIN_TIMEOUT] = "sysctl -w net.ipv4.tcp_fin_timeout=15",
    [REMEDY_CLOSE_IN_CLIENT] = "ss -Htanp state close-wait dst '@to'",
    [REMEDY_FIND_OTHERS] = "connspread quads\nconnspread doctor",
    [REMEDY_RELEASE_BINDS] = "connspread doctor",
    [REMEDY_RESERVE_PORTS] = "sysctl -w net.ipv4.ip_local_reserved_ports=PORTS",
    [REMEDY_UNRESERVE_PORTS] = ("sysctl net.ipv4.ip_local_reserved_ports\n"
                                "grep -r ip_local_reserved_ports /etc/sysctl.conf /etc/sysctl.d\n"
                                "sysctl -w net.ipv4.ip_local_reserved_ports=PORTS"),
    [REMEDY_WIDEN_RANGE] = "sysctl -w net.ipv4.ip_local_port_range='1024 65535'",
    [REMEDY_ADD_SOURCES] = "ip addr add ADDRESS/PREFIX dev INTERFACE\nconnspread check -c CONF",
    [REMEDY_TW_REUSE] = "sysctl -w net.ipv4.tcp_tw_reuse=1",
    [REMEDY_RESTORE_ADDRESS] = "ip addr add @from/PREFIX dev INTERFACE",
    [REMEDY_CHANGE_SOURCE] = "ip addr\nconnspread check -c CONF",
    [REMEDY_ENABLE_IPV6] = ("sysctl -w net.ipv6.conf.all.disable_ipv6=0\n"
                            "grep -r disable_ipv6 /etc/sysctl.conf /etc/sysctl.d /proc/cmdline"),
    [REMEDY_LET_KERNEL_CHOOSE] = "# what has local ports towards it now\nss -tanp dst '@to'",
    [REMEDY_ROUTE_SOURCE] = "ip route get @host from @from",
    [REMEDY_FOLLOW_PACKETS] = "connspread check -c CONF\ntcpdump -ni any host @from and host @host and tcp port @port",
    [REMEDY_DESCRIPTORS] = "prlimit --pid PID --nofile\nprlimit --pid PID --nofile=65536",
    [REMEDY_TW_BUCKETS] = "sysctl -w net.ipv4.tcp_max_tw_buckets=262144",
    [REMEDY_SOCKET_RANGE] = "connspread set -c CONF mode=enforce",
    [REMEDY_ASK_DOCTOR] = "connspread doctor",
};

static const char own_range[] =
    "# after a change of ports in the pool\nconnspread check -c CONF\nconnspread reload -c CONF";

/* The address and the port of ADDRESS:PORT or [ADDRESS]:PORT. Our own text, made from numbers. */
static void split(const char *endpoint, char host[ADDR_TEXT], char port[8]) {
    const char *colon = strrchr(endpoint, ':');
    size_t length = colon ? (size_t)(colon - endpoint) : 0;
    bool brackets = length >= 2 && endpoint[0] == '[';
    struct strbuf s;
    strbuf_init(&s, host, ADDR_TEXT);
    strbuf_bytes(&s, endpoint + brackets, length - (brackets ? 2 : 0));
    (void)strbuf_finish(&s);
    strbuf_init(&s, port, 8);
    strbuf_text(&s, colon ? colon + 1 : "");
    (void)strbuf_finish(&s);
}

bool commands_for(char out[COMMAND_TEXT], const struct finding *f, enum remedy remedy) {
    char host[ADDR_TEXT], port[8];
    bool known = f->destination[0] != 0;
    struct strbuf s;
    const char *text = remedy < REMEDIES ? command[remedy] : NULL;
    if (!text || (remedy == REMEDY_RESTORE_ADDRESS && f->source_is_back))
        return false;
    if (remedy == REMEDY_WIDEN_RANGE && f->evidence.own_range)
        text = own_range;
    split(f->destination, host, port);
    const struct {
        const char *name, *value;
    } blanks[] = {{"@to", known ? f->destination : "ADDRESS:PORT"},
                  {"@host", known ? host : "ADDRESS"},
                  {"@port", known ? port : "PORT"},
                  {"@from", f->source[0] ? f->source : "SOURCE"}};
    strbuf_init(&s, out, COMMAND_TEXT);
    while (*text) {
        size_t plain = strcspn(text, "@");
        strbuf_bytes(&s, text, plain);
        text += plain;
        for (size_t i = 0; *text && i < sizeof blanks / sizeof *blanks; i++)
            if (strncmp(text, blanks[i].name, strlen(blanks[i].name)) == 0) {
                strbuf_text(&s, blanks[i].value);
                text += strlen(blanks[i].name);
                break;
            }
    }
    return strbuf_finish(&s) > 0;
}
