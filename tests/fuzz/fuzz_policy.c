/* Any bytes as the policy in the state file, and as a glob: what comes out of it keeps the promises of policy.h. */
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"
#include "policy/program.h"
#include "policy/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct policy *p, const struct endpoint *destination, const char *program) {
    static struct match match;
    uint64_t total = 0;
    policy_match(p, destination, program, &match);
    if (match.n_sources > POOL_SOURCES || match.n_ports > POOL_PORTS || match.attempts > RULE_ATTEMPTS_MAX)
        abort();
    for (unsigned i = 0; i < match.n_sources; i++)
        total += match.source[i].count;
    if (total != match.total)
        abort();
    if (match.n_also > RULE_ENDPOINTS || (match.to & TO_POLICY) >= TO_POLICY_COUNT)
        abort();
    for (unsigned i = 0; i < match.n_also; i++)
        if (match.also.to[i].port == 0 || addr_scope(&match.also.to[i].addr) != addr_scope(&destination->addr))
            abort();
    match_source(&match, match.total);
    match_source(&match, match.total / 2);
    policy_client_bind(p, program);
}

/* Any bytes as a process's arguments: three names at the most, none of them too long or with a folder. */
static void check_names(const char *program, const char *arguments, size_t size) {
    static const char *const interpreters[] = {"python3", "perl", "node", "java", "sh", "curl"};
    char names[PROGRAM_NAMES_TEXT], one[POLICY_PROGRAM];
    for (unsigned i = 0; i < sizeof interpreters / sizeof *interpreters; i++) {
        const char *rest = names;
        unsigned n = 0;
        program_names(names, program, interpreters[i], arguments, size);
        while (program_next(&rest, one))
            if (++n > PROGRAM_NAMES || strchr(one, '/'))
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct policy *p = malloc(sizeof *p);
    struct endpoint destination = {.port = 80};
    char program[32] = "";
    size_t head = size < 32 ? size : 32;
    if (!p)
        return 0;
    policy_default(p);
    /* The first bytes are the destination and the program, the rest lies over the policy, again and again. */
    if (head > 0) {
        memcpy(&destination.addr, data, head < 16 ? head : 16);
        if (head > 16)
            memcpy(program, data + 16, head - 16);
        program[sizeof program - 1] = '\0';
    }
    if (size > head)
        for (size_t at = 0; at < sizeof *p; at += size - head)
            memcpy((char *)p + at, data + head, sizeof *p - at < size - head ? sizeof *p - at : size - head);
    check(p, &destination, program);
    destination.addr = addr_from_v4(0x0a000001);
    check(p, &destination, program);
    policy_glob(program, program + strlen(program) / 2);
    check_names(program, (const char *)data, size);
    free(p);
    return 0;
}
