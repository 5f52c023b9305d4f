#include "config/also.h"

#include "config/values.h"
#include "text/meant.h"
#include "text/parse.h"

/* What is wrong with it as the endpoint of a connect; NULL: nothing. */
static const char *fault_of(const struct policy_target *t) {
    if (t->any || t->length != 128 || addr_is_any(&t->prefix))
        return "is not one address";
    if (addr_scope(&t->prefix) == SCOPE_V6_LINK)
        return "is link-local";
    return t->ports.low == 1 && t->ports.high == 65535 ? "has no port" : NULL;
}

static unsigned endpoints(const struct reading *r) {
    unsigned n = 0;
    for (unsigned i = 0; i < r->rule->also.count; i++) {
        const struct port_range *ports = &r->out->target[r->rule->also.first + i].ports;
        n += 1u + ports->high - ports->low;
    }
    return n;
}

void config_also_to(struct reading *r, const struct entry *e) {
    static const char right[] = "an address and a port or a range of ports: \"10.2.0.10:81-83\", \"[fd00:2::10]:443\"";
    struct policy *out = r->out;
    struct policy_target target;
    struct meant meant;
    const char *wrong = parse_target(e->text, &target);
    if (wrong && meant_target(e->text, &meant))
        value_wrong(r, e, meant.what, meant.right);
    else if (wrong)
        value_wrong(r, e, "is not an endpoint", wrong);
    else if (fault_of(&target))
        value_wrong(r, e, fault_of(&target), right);
    else if (endpoints(r) + target.ports.high - target.ports.low >= RULE_ENDPOINTS)
        value_wrong(r, e, "is one endpoint too many for a rule (16)", "fewer ports, or a second rule");
    else if (out->n_targets == POLICY_TARGETS)
        value_wrong(r, e, "is one destination too many for a config (512)", "prefixes and port ranges");
    else {
        if (r->rule->also.count++ == 0)
            r->rule->also.first = out->n_targets;
        out->target[out->n_targets++] = target;
    }
}

void config_to_policy(struct reading *r, const struct entry *e) {
    static const char *const names[] = {"client-first", "round-robin", "least-used", NULL};
    value_choice(r, e, names, &r->rule->to_policy);
}

void config_show_peer(struct reading *r, const struct entry *e) {
    value_choice(r, e, (const char *const[]){"real", "asked", NULL}, &r->rule->show_asked);
}

void config_to_timeout(struct reading *r, const struct entry *e) {
    value_duration(r, e, "10ms", "60s", &r->rule->to_timeout_ms);
}

void config_to_hold_down(struct reading *r, const struct entry *e) {
    value_duration(r, e, "100ms", "5m", &r->rule->to_hold_down_ms);
}

void config_port_sharing(struct reading *r, const struct entry *e) {
    value_choice(r, e, (const char *const[]){"allowed", "never", NULL}, &r->pool->exclusive);
}

void config_also_begin(struct policy_rule *rule) {
    rule->to_timeout_ms = 1000;
    rule->to_hold_down_ms = 10000;
}

void config_also_end(struct reading *r) {
    const struct policy_rule *rule = r->rule;
    if (rule->also.count == 0 && (rule->to_policy != TO_CLIENT_FIRST || rule->show_asked))
        mistake_add(r->m, r->section_line,
                    "also-to: is missing in rule \"%s\", which says to-policy or show-peer; try: also-to = { "
                    "\"ADDRESS:PORT\" }",
                    rule->title);
}

void config_port_sharing_end(struct reading *r) {
    if (!r->pool->exclusive)
        return;
    for (unsigned scope = 0; scope < SCOPE_COUNT; scope++)
        if (r->pool->sources[scope].count)
            return;
    mistake_add(
        r->m, r->section_line,
        "port-sharing: \"never\" needs the addresses of pool \"%s\", whose source the kernel would choose; try: "
        "addresses = { ... }",
        r->pool->title);
}
