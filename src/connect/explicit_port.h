/* explicit_port.h - ports outside the ephemeral range, by explicit bind.
 *
 * Such a bind cannot be undone (kernel: a second bind of that socket is EINVAL for ever), and inside the ephemeral
 * range it would spoil the port for the connects of all processes: so only for ports that the operator configured, only
 * outside the range, and only after everything else. Raw system calls, errno untouched, async-signal-safe. */
#ifndef CONNSPREAD_CONNECT_EXPLICIT_PORT_H
#define CONNSPREAD_CONNECT_EXPLICIT_PORT_H

#include "net/ports.h"
#include "client/fdtab.h"

struct client;

/* Ports outside the ephemeral range that are looked at in one connect, those that were left longest ago. */
enum { PORTS_TRIED = 128 };

/* The host's ephemeral range, for the namespace of fd; read once, and again when refresh is set or namespaces change.
 * PORTS_DEFAULT when it cannot be read. */
struct port_range host_ports(struct client *client, bool refresh);

/* The same, if it was read before: no connect opens a descriptor for it. False: unknown, or namespaces change. */
bool host_ports_known(struct client *client, struct port_range *out);

/* Something is full: if the sysctl was widened meanwhile, that shall be used. Reads it again, at most once a second. */
void host_ports_may_have_changed(struct client *client, uint64_t now);

struct explicit_bind {
    struct client *client;
    int fd;
    const struct conn *conn; /* of fd */
    const struct endpoint *source, *destination;
    struct pair *pair; /* of both; NULL: no port is bound */
    uint64_t key;      /* of it */
    uint32_t reuse_after_ms;
};

/* Binds fd to source and the next port that is free towards destination, or whose TIME-WAIT is at least reuse_after_ms
 * old. Returns the port, 0 when none was found among those tried, -errno when fd cannot be bound at all. */
int explicit_bind(const struct explicit_bind *b, const struct port_split *split);

/* The connect that explicit_bind's port was for (key: of its pair) has been made: others may ask the kernel about it.
 */
void explicit_connected(struct client *client, uint64_t key, uint16_t port);

#endif
