#include "config/compile.h"

#include <errno.h>
#include <string.h>

#include "text/meant.h"
#include "text/parse.h"
#include "config/values.h"
#include "config/ranges.h"
#include "config/interfaces.h"
#include "config/also.h"
#include "config/pool_keys.h"

/* The top of the file. */

static void compile_mode(struct reading *r, const struct entry *e) {
    value_choice(r, e, policy_mode_word, &r->out->mode);
}

static void compile_canary(struct reading *r, const struct entry *e) {
    value_number(r, e, 0, 100, &r->out->canary);
}

static void compile_canary_by(struct reading *r, const struct entry *e) {
    value_choice(r, e, (const char *const[]){"process", "connection", NULL}, &r->out->canary_by);
}

const struct key config_root_keys[] = {
    {"mode", false, compile_mode}, {"canary", false, compile_canary}, {"canary-by", false, compile_canary_by}, {0}};

/* log { } */

static bool size_of(struct reading *r, const struct entry *e, uint64_t *out) {
    const char *wrong = parse_size(e->text, out);
    if (wrong)
        value_wrong(r, e, "is not a size", wrong);
    return !wrong;
}

static void compile_size(struct reading *r, const struct entry *e) {
    static const uint64_t low = 64u << 10, high = 1u << 30; /* what a state file can be built with */
    uint64_t size;
    if (!size_of(r, e, &size))
        return;
    if (size < low || size > high) {
        value_wrong(r, e, "is not in range", "64k to 1G");
        return;
    }
    r->out->log_size = size;
}

static void compile_file(struct reading *r, const struct entry *e) {
    if (*e->text == '\0') {
        r->out->log_file[0] = '\0';
        return;
    }
    if (!value_text(r, e, "an absolute path", r->out->log_file, sizeof r->out->log_file))
        return;
    if (*e->text != '/')
        value_wrong(r, e, "is not an absolute path", "\"/var/log/connspread.log\", or \"\" for none");
}

static void compile_closes(struct reading *r, const struct entry *e) {
    value_choice(r, e, (const char *const[]){"time-wait", "all", NULL}, &r->out->log_closes);
}

static void compile_inbound(struct reading *r, const struct entry *e) {
    value_flag(r, e, &r->out->log_inbound);
}

static void compile_verify(struct reading *r, const struct entry *e) {
    value_choice(r, e, (const char *const[]){"never", "auto", "always", NULL}, &r->out->log_verify);
}

const struct key config_log_keys[] = {{"size", false, compile_size},     {"file", false, compile_file},
                                      {"closes", false, compile_closes}, {"inbound", false, compile_inbound},
                                      {"verify", false, compile_verify}, {0}};

/* state { } */

/* Besides the log, a state file has 12M at most before it grows by segments. */
static void compile_size_max(struct reading *r, const struct entry *e) {
    static const uint64_t low = 16u << 20, high = 2u << 30, tables = 12u << 20;
    uint64_t size;
    if (!size_of(r, e, &size))
        return;
    if (size < low || size > high)
        value_wrong(r, e, "is not in range", "16M to 2G");
    else if (size < r->out->log_size + tables)
        value_wrong(r, e, "is less than log.size and the 12M that all else may take", "more, or a smaller log.size");
    else
        r->out->size_max = size;
}

const struct key config_state_keys[] = {{"size-max", false, compile_size_max}, {0}};

/* pool "..." { } */

static void add_source(struct reading *r, const struct entry *e, const struct policy_source *source) {
    if (!sources_add(&r->sources[addr_scope(&source->first)], source))
        value_wrong(r, e, "is one range too many for a pool (32 of one kind)", "A-B or A/LEN, or a second pool");
}

/* What was written is not what it seems to be. */
static bool is_meant(struct reading *r, const struct entry *e, bool (*ask)(const char *, struct meant *)) {
    struct meant meant;
    bool found = ask(e->text, &meant);
    if (found)
        value_wrong(r, e, meant.what, meant.right);
    return found;
}

struct adding {
    struct reading *r;
    const struct entry *e;
    int left_out;
};

/* What the kernel would not choose for a new connection is none of a pool that names the interface. */
static void add_interface_source(void *context, const struct policy_source *source) {
    struct adding *adding = context;
    const char *fault = interface_fault(&source->first);
    char text[ADDR_TEXT];
    if (!fault) {
        add_source(adding->r, adding->e, source);
        return;
    }
    adding->left_out++;
    format_address(text, &source->first);
    mistake_note(adding->r->m, adding->e->line, "%s: \"%.80s\": its address %s is left out: %s", adding->r->key,
                 adding->e->text, text, fault);
}

/* Only letters, digits and punctuation of an address: then it is meant as one and not as an interface. */
static bool looks_like_address(const char *text) {
    return strspn(text, "0123456789abcdefABCDEF.:/-[]") == strlen(text) && strpbrk(text, ".:") != NULL;
}

/* The list is read once for the whole file; NULL and a mistake if that fails. */
static const struct ifaddrs *interfaces(struct reading *r, const struct entry *e) {
    if (!r->interfaces && getifaddrs(&r->interfaces) < 0) {
        r->interfaces = NULL;
        value_wrong(r, e, "cannot be looked for on this host", strerror(errno));
    }
    return r->interfaces;
}

static void compile_interface(struct reading *r, const struct entry *e) {
    static const char right[] = "an address, a range A-B, a prefix A/LEN or the name of an interface of this host";
    struct adding adding = {.r = r, .e = e};
    const struct ifaddrs *all = interfaces(r, e);
    if (!all)
        return;
    int count = *e->text ? interface_sources(all, e->text, add_interface_source, &adding) : -1;
    if (count < 0)
        value_wrong(r, e, "is no address and no interface of this host", right);
    else if (count == 0)
        value_wrong(r, e, "is an interface without addresses", right);
    else if (count == adding.left_out)
        value_wrong(r, e, "is an interface without an address that can be used now", right);
}

/* A link-local address is one only together with its interface. */
static bool find_link(struct reading *r, const struct entry *e, struct policy_source *source) {
    const struct ifaddrs *all = interfaces(r, e);
    if (!all)
        return false;
    source->interface = source->count == 1 ? interface_of(all, &source->first) : 0;
    if (source->interface == 0)
        value_wrong(r, e, "is link-local and on no interface of this host", "one such address, or its interface");
    return source->interface != 0;
}

static void compile_addresses(struct reading *r, const struct entry *e) {
    struct policy_source source;
    if (is_meant(r, e, meant_source))
        return;
    const char *wrong = parse_source(e->text, &source);
    if (wrong && looks_like_address(e->text))
        value_wrong(r, e, "is not valid", wrong);
    else if (wrong)
        compile_interface(r, e);
    else if (addr_scope(&source.first) == SCOPE_V6_LINK) {
        if (find_link(r, e, &source))
            add_source(r, e, &source);
    } else {
        source_step(r, e, &source);
        add_source(r, e, &source);
    }
}

static void compile_ports(struct reading *r, const struct entry *e) {
    struct port_range range;
    const char *wrong = parse_ports(e->text, &range);
    r->has_ports = true;
    if (!r->ports_line)
        r->ports_line = e->line;
    if (wrong && !is_meant(r, e, meant_ports))
        value_wrong(r, e, "is not a port or range", wrong);
    else if (!wrong)
        ports_add(r->ports, range);
}

static void compile_exclude_ports(struct reading *r, const struct entry *e) {
    struct port_range range;
    const char *wrong = parse_ports(e->text, &range);
    if (wrong) {
        if (!is_meant(r, e, meant_ports))
            value_wrong(r, e, "is not a port or range", wrong);
        return;
    }
    if (!r->has_ports && !r->has_exclusions)
        ports_add(r->ports, ports_ephemeral());
    if (!r->has_exclusions)
        r->exclusions_line = e->line;
    r->has_exclusions = true;
    ports_remove(r->ports, range);
}

static void compile_policy(struct reading *r, const struct entry *e) {
    value_choice(r, e, (const char *const[]){"round-robin", "random", "hash", "least-used", NULL}, &r->pool->policy);
}

static void compile_freebind(struct reading *r, const struct entry *e) {
    value_flag(r, e, &r->pool->freebind);
}

static void compile_reuse_after(struct reading *r, const struct entry *e) {
    value_duration(r, e, "1s", "60s", &r->pool->reuse_after_ms);
}

/* What excludes stands behind what it takes away from, and prefix-step before the addresses that it is about. */
const struct key config_pool_keys[] = {{"prefix-step", false, compile_prefix_step},
                                       {"addresses", true, compile_addresses},
                                       {"exclude-addresses", true, compile_exclude_addresses},
                                       {"ports", true, compile_ports},
                                       {"exclude-ports", true, compile_exclude_ports},
                                       {"policy", false, compile_policy},
                                       {"hash-by", true, compile_hash_by},
                                       {"freebind", false, compile_freebind},
                                       {"reuse-after", false, compile_reuse_after},
                                       {"port-sharing", false, config_port_sharing},
                                       {0}};

/* rule "..." { } */

static void add_target(struct reading *r, const struct entry *e, struct policy_span *span) {
    struct policy *out = r->out;
    unsigned count;
    if (is_meant(r, e, meant_target))
        return;
    if (out->n_targets == POLICY_TARGETS) {
        value_wrong(r, e, "is one destination too many for a config (512)", "prefixes and port ranges");
        return;
    }
    const char *wrong =
        parse_targets(e->text, &out->target[out->n_targets], POLICY_TARGETS - (unsigned)out->n_targets, &count);
    if (wrong) {
        value_wrong(r, e, "is not a destination", wrong);
        return;
    }
    if (span->count == 0)
        span->first = out->n_targets;
    span->count = (uint16_t)(span->count + count);
    out->n_targets = (uint16_t)(out->n_targets + count);
}

static void compile_to(struct reading *r, const struct entry *e) {
    add_target(r, e, &r->rule->to);
}

static void compile_except(struct reading *r, const struct entry *e) {
    add_target(r, e, &r->rule->except);
}

static void compile_program(struct reading *r, const struct entry *e) {
    struct policy *out = r->out;
    char glob[POLICY_PROGRAM];
    if (!value_text(r, e, "a program's name or a glob", glob, sizeof glob))
        return;
    if (strchr(glob, '/')) {
        value_wrong(r, e, "is a path", "the program's name alone, such as \"php-fpm*\"");
        return;
    }
    if (out->n_programs == POLICY_PROGRAMS) {
        value_wrong(r, e, "is one program too many for a config (128)", "globs such as \"php*\"");
        return;
    }
    if (r->rule->programs.count++ == 0)
        r->rule->programs.first = out->n_programs;
    memcpy(out->program[out->n_programs++], glob, sizeof glob);
}

static void compile_action(struct reading *r, const struct entry *e) {
    value_choice(r, e, (const char *const[]){"spread", "ignore", NULL}, &r->rule->action);
}

static void compile_pool(struct reading *r, const struct entry *e) {
    r->has_pool = true;
    for (uint16_t i = 0; i < r->out->n_pools; i++)
        if (strcmp(r->out->pool[i].title, e->text) == 0) {
            r->rule->pool = i;
            return;
        }
    if (!r->stopped)
        value_wrong(r, e, "is no pool of this file", "the title of a pool \"...\" { } section");
}

static void compile_attempts(struct reading *r, const struct entry *e) {
    value_number(r, e, 1, RULE_ATTEMPTS_MAX, &r->rule->attempts);
}

static void compile_wait(struct reading *r, const struct entry *e) {
    value_duration(r, e, "0ms", "60s", &r->rule->wait_ms);
}

static void compile_on_exhausted(struct reading *r, const struct entry *e) {
    value_choice(r, e, (const char *const[]){"fallback", "error", NULL}, &r->rule->on_exhausted);
}

static void compile_client_bind(struct reading *r, const struct entry *e) {
    value_choice(r, e, (const char *const[]){"late-port", "keep", "override", NULL}, &r->rule->client_bind);
}

const struct key config_rule_keys[] = {{"to", true, compile_to},
                                       {"except", true, compile_except},
                                       {"program", true, compile_program},
                                       {"action", false, compile_action},
                                       {"pool", false, compile_pool},
                                       {"attempts", false, compile_attempts},
                                       {"wait", false, compile_wait},
                                       {"on-exhausted", false, compile_on_exhausted},
                                       {"client-bind", false, compile_client_bind},
                                       {"also-to", true, config_also_to},
                                       {"to-policy", false, config_to_policy},
                                       {"show-peer", false, config_show_peer},
                                       {"to-timeout", false, config_to_timeout},
                                       {"to-hold-down", false, config_to_hold_down},
                                       {0}};
