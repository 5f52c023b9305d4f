#include "connect/hash_by.h"

#include <fcntl.h>
#include <string.h>

#include "base/sys.h"
#include "base/text.h"
#include "client/client.h"
#include "policy/order.h"
#include "state/control.h"
#include "state/pair.h"

#define BASIS 0x811c9dc5u
#define PRIME 0x01000193u
enum { CHUNK = 512, PATH = 32 };

static uint32_t fnv(uint32_t hash, char c) {
    return (hash ^ (unsigned char)c) * PRIME;
}

/* One character after the other, so that no entry needs to have room. */
struct search {
    const char *name;
    size_t fits; /* so much of "NAME=" has been seen at the start of this entry */
    uint32_t hash;
    bool at_value, differs;
};

/* True: the value is over. */
static bool search_on(struct search *s, char c) {
    if (s->at_value) {
        if (c == '\0')
            return true;
        s->hash = fnv(s->hash, c);
    } else if (c == '\0') {
        s->fits = 0;
        s->differs = false;
    } else if (!s->differs) {
        s->at_value = c == '=' && s->name[s->fits] == '\0';
        s->differs = !s->at_value && (s->name[s->fits] == '\0' || s->name[s->fits++] != c);
    }
    return false;
}

uint32_t hash_of_variable(int environ, const char *name) {
    struct search s = {.name = name, .hash = BASIS};
    char chunk[CHUNK];
    for (;;) {
        long n = sys_call3(SYS_read, environ, chunk, sizeof chunk);
        if (n <= 0 || n > (long)sizeof chunk)
            return s.at_value ? s.hash : 0;
        for (long i = 0; i < n; i++)
            if (search_on(&s, chunk[i]))
                return s.hash;
    }
}

static uint32_t name_hash(const char *name) {
    uint32_t hash = BASIS;
    for (; *name; name++)
        hash = fnv(hash, *name);
    return hash | 1; /* 0: nothing is kept */
}

static bool read_variable(const struct client *client, const char *name, uint32_t *hash) {
    char path[PATH] = "/proc/self/environ";
    size_t at = 0;
    if (client->pid) {
        text_add(path, sizeof path, &at, "/proc/");
        text_add_number(path, sizeof path, &at, client->pid);
        text_add(path, sizeof path, &at, "/environ");
    }
    int fd = (int)sys_call4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    *hash = hash_of_variable(fd, name);
    (void)sys_call1(SYS_close, fd);
    return true;
}

/* As it was when the program was executed, so it need be read once: name and value are kept as one word. Not that it
 * could not be read: a descriptor may be free the next time. */
static uint32_t variable(struct client *client, const char *name) {
    uint32_t wanted = name_hash(name), hash;
    uint64_t kept = __atomic_load_n(&client->variable, __ATOMIC_RELAXED);
    if (kept >> 32 != wanted) {
        if (!read_variable(client, name, &hash))
            return 0;
        kept = wanted * ((uint64_t)1 << 32) + hash;
        __atomic_store_n(&client->variable, kept, __ATOMIC_RELAXED);
    }
    return (uint32_t)kept;
}

static uint64_t mix(uint64_t hash, uint64_t part) {
    return order_scatter(hash + 0x9e3779b97f4a7c15u) ^ part;
}

__attribute__((noinline)) uint64_t hash_by(struct client *client, unsigned pool, const struct endpoint *destination) {
    const struct policy_pool *p = state_pool(&client->state, pool);
    uint8_t by = __atomic_load_n(&p->hash_by, __ATOMIC_RELAXED);
    uint64_t hash = by;
    if (by & HASH_BY_DESTINATION)
        hash = mix(hash, pair_key(0, &destination->addr, destination));
    if (by & HASH_BY_PROCESS)
        hash = mix(hash, client->pid ? client->pid : (uint32_t)sys_call0(SYS_getpid));
    if (by & HASH_BY_PROGRAM)
        hash = mix(hash, client->names_key);
    if (by & HASH_BY_USER)
        hash = mix(hash, client->pid ? client->user : sys_geteuid());
    if (by & HASH_BY_ENV) {
        char name[POLICY_VARIABLE];
        for (size_t i = 0; i < sizeof name; i++)
            name[i] = __atomic_load_n(&p->hash_variable[i], __ATOMIC_RELAXED);
        name[sizeof name - 1] = '\0';
        hash = mix(hash, variable(client, name));
    }
    return hash;
}
