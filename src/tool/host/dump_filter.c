#include "tool/host/dump_filter.h"

#include <linux/inet_diag.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel goes on `yes` bytes further after a step that holds, and `no` bytes after one that does not. A jump four
 * bytes past the end rejects the socket; the end itself accepts it. Where that will be is known last. */
enum { REJECT = 0, WORD = sizeof(struct dump_op), HOST_WORDS = 2 };

_Static_assert(sizeof(struct dump_op) == sizeof(struct inet_diag_bc_op), "the kernel's own form");
_Static_assert(sizeof(struct inet_diag_hostcond) == HOST_WORDS * WORD, "the kernel's own form");

static bool is_v4_prefix(const struct addr *prefix, unsigned length) {
    return addr_is_v4(prefix) && length >= 96;
}

/* port: -1 for any. length counts bits of the 128-bit form; 0: any address. otherwise: where to go, in bytes, or
 * REJECT.
 */
static void add_host(struct dump_program *p, uint8_t code, const struct addr *prefix, unsigned length, int port,
                     uint16_t otherwise) {
    bool v4 = is_v4_prefix(prefix, length);
    unsigned address_words = length == 0 ? 0 : v4 ? 1 : 4, words = 1 + HOST_WORDS + address_words;
    struct inet_diag_hostcond host = {.family = (uint8_t)(length == 0 ? AF_UNSPEC
                                                          : v4        ? AF_INET
                                                                      : AF_INET6),
                                      .prefix_len = (uint8_t)(v4 ? length - 96 : length),
                                      .port = port};
    p->op[p->n] = (struct dump_op){code, (uint8_t)(words * WORD), otherwise};
    memcpy(&p->op[p->n + 1], &host, sizeof host);
    memcpy(&p->op[p->n + 1 + HOST_WORDS], prefix->b + (v4 ? 12 : 0), (size_t)address_words * WORD);
    p->n += words;
}

/* The port stands in the second word's `no`. */
static void add_port(struct dump_program *p, uint8_t code, uint16_t port) {
    p->op[p->n++] = (struct dump_op){code, 2 * WORD, REJECT};
    p->op[p->n++] = (struct dump_op){.no = port};
}

static void add_end(struct dump_program *p, const struct policy_target *t, bool peer) {
    if (!t->any)
        add_host(p, peer ? INET_DIAG_BC_D_COND : INET_DIAG_BC_S_COND, &t->prefix, t->length, -1, REJECT);
    if (t->ports.low > 0)
        add_port(p, peer ? INET_DIAG_BC_D_GE : INET_DIAG_BC_S_GE, t->ports.low);
    if (t->ports.high < UINT16_MAX)
        add_port(p, peer ? INET_DIAG_BC_D_LE : INET_DIAG_BC_S_LE, t->ports.high);
}

/* A condition that, when it holds, is followed by a jump out. */
static void add_without(struct dump_program *p, const struct dump_local *l) {
    static const struct addr any_v4 = {{[10] = 0xff, 0xff}};
    bool any = addr_is_any(&l->address), any_of_v4 = any && addr_is_v4(&l->address);
    unsigned length = any_of_v4 ? 96 : any ? 0 : 128, start = p->n;
    add_host(p, INET_DIAG_BC_S_COND, any_of_v4 ? &any_v4 : &l->address, length, l->port, REJECT);
    p->op[start].no = (uint16_t)(p->op[start].yes + WORD);
    p->op[p->n++] = (struct dump_op){INET_DIAG_BC_JMP, WORD, REJECT};
}

/* Every step's jump out, once its distance is known. */
static void settle(struct dump_program *p) {
    for (unsigned i = 0; i < p->n; i += p->op[i].yes / WORD)
        if (p->op[i].no == REJECT)
            p->op[i].no = (uint16_t)((p->n - i) * WORD + WORD);
}

void dump_filter_compile(struct dump_program *out, const struct dump_filter *filter) {
    out->n = 0;
    if (filter->peer)
        add_end(out, filter->peer, true);
    if (filter->local)
        add_end(out, filter->local, false);
    for (unsigned i = 0; i < filter->n_without && i < DUMP_WITHOUT; i++)
        if (!filter->without[i].v6_only) /* it cannot be told from a v4-mapped socket's port */
            add_without(out, &filter->without[i]);
    settle(out);
}
