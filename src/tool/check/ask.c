#include "tool/check/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/interfaces.h"
#include "state/pair.h"
#include "text/parse.h"
#include "tool/check/names.h"
#include "tool/common/message.h"
#include "tool/common/override.h"

enum { SHOWN = 16 };

static const char *const reasons[] = {
    [PASSED_TO] = "not to this destination",
    [PASSED_EXCEPT] = "an exception has this destination",
    [PASSED_PROGRAM] = "for other programs",
};
static const char *const reason_keys[] = {[PASSED_TO] = "to", [PASSED_EXCEPT] = "except", [PASSED_PROGRAM] = "program"};

struct answer {
    int rule; /* index; -1: none */
    struct match match;
    uint32_t first;
    struct port_split ports;
    unsigned usable; /* of the sources that are shown */
};

/* The numbers of titles are the state file's; here they are the indexes, so that the match names its rule. */
static int match_rule(struct policy *p, const struct question *q, struct match *out) {
    for (unsigned i = 0; i < POLICY_RULES; i++)
        p->rule[i].title_id = (uint16_t)(i + 1);
    policy_match(p, &q->to, q->program, out);
    return out->rule_id ? out->rule_id - 1 : -1;
}

enum passed check_passed(const struct policy *p, unsigned rule, const struct question *q) {
    struct policy *alone = malloc(sizeof *alone);
    struct match match;
    enum passed why = PASSED_TO;
    if (!alone)
        return why;
    memcpy(alone, p, sizeof *alone);
    alone->n_rules = 1;
    alone->rule[0] = p->rule[rule];
    if (match_rule(alone, q, &match) >= 0)
        why = PASSED_NOT;
    alone->rule[0].programs.count = 0;
    if (why && match_rule(alone, q, &match) >= 0)
        why = PASSED_PROGRAM;
    alone->rule[0].except.count = 0;
    if (why == PASSED_TO && match_rule(alone, q, &match) >= 0)
        why = PASSED_EXCEPT;
    free(alone);
    return why;
}

static bool find_answer(const struct findings *f, const struct question *q, struct answer *out) {
    struct policy *p = malloc(sizeof *p);
    if (!p)
        return false;
    memcpy(p, &f->policy, sizeof *p);
    *out = (struct answer){0};
    out->rule = match_rule(p, q, &out->match);
    free(p);
    const struct match *m = &out->match;
    if (m->total)
        out->first =
            pair_first_source(m, &q->to, f->next_source[m->pool % POLICY_POOLS][m->scope % SCOPE_COUNT], f->epoch);
    if (m->n_ports)
        ports_split(&out->ports, m->ports, m->n_ports, f->host.ports.ephemeral);
    return true;
}

static bool spreads(const struct answer *a) {
    return a->match.matched && (a->match.total > 0 || !a->match.has_sources);
}

/* Does the next connect begin at the first of those that are shown? The numbers of random are drawn from the state
 * file's, and how used a source is then, is not known now. */
static bool is_foretold(const struct findings *f, const struct answer *a) {
    return a->match.total == 1 || a->match.policy == POOL_ROUND_ROBIN || a->match.policy == POOL_HASH ||
           (a->match.policy == POOL_RANDOM && f->has_state_file);
}

static struct endpoint nth_source(const struct answer *a, uint32_t i) {
    return match_source(&a->match, (uint32_t)(((uint64_t)a->first + i) % a->match.total));
}

/* Why it cannot be used on this host; NULL: it can. */
static const char *trouble(const struct findings *f, const struct answer *a, const struct endpoint *source) {
    const char *fault = interface_fault(&source->addr);
    if (fault)
        return fault;
    return a->match.binding & BINDING_FREEBIND || host_can_bind(&f->host, &source->addr, source->scope)
               ? NULL
               : "not on this host";
}

static void text_passed(const struct findings *f, const struct question *q, const struct answer *a) {
    unsigned end = a->rule < 0 ? f->policy.n_rules : (unsigned)a->rule;
    for (unsigned i = 0; i < end && i < POLICY_RULES; i++)
        say("            rule \"%s\" is passed over: %s", f->policy.rule[i].title,
            reasons[check_passed(&f->policy, i, q)]);
}

static void text_sources(const struct findings *f, struct answer *a) {
    static const char *const next[] = {
        [POOL_ROUND_ROBIN] = "each connect begins at the next one",
        [POOL_RANDOM] = "each connect begins at a random one",
        [POOL_HASH] = "each connect to this destination begins at the first of these",
        [POOL_LEAST_USED] = "each connect begins at the one with the fewest connections to there",
        [POOL_HASH_BY] = "each connect begins at one that hash-by decides, and always at the same for the same",
    };
    const struct match *m = &a->match;
    if (m->total == 0) {
        say("sources     %s", m->has_sources ? "none: the pool has none of this family and scope, so these connections "
                                               "are left alone"
                                             : "the kernel's choice; connspread chooses the port alone");
        return;
    }
    for (uint32_t i = 0; i < m->total && i < SHOWN; i++) {
        char text[ADDR_TEXT];
        struct endpoint source = nth_source(a, i);
        const char *wrong = trouble(f, a, &source);
        format_address(text, &source.addr);
        say("%-12s%s%s%s", i ? "" : "sources", text, wrong ? ": " : "", wrong ? wrong : "");
        a->usable += !wrong;
    }
    if (m->total > SHOWN)
        say("            and %u more", m->total - SHOWN);
    say("            in this order%s; %s", is_foretold(f, a) ? "" : " from wherever it begins", next[m->policy]);
}

static void text_ports(const struct findings *f, const struct answer *a) {
    struct port_range host = f->host.ports.ephemeral;
    const struct port_split *s = &a->ports;
    if (a->match.n_ports == 0)
        say("ports       %u-%u, the ephemeral range", host.low, host.high);
    for (unsigned i = 0; i < s->n_inside; i++)
        say("ports       %u-%u, which the kernel chooses from", s->inside[i].low, s->inside[i].high);
    for (unsigned i = 0; i < s->n_outside; i++)
        say("%-12s%u-%u, outside of the ephemeral range: %s", s->n_inside || i ? "" : "ports", s->outside[i].low,
            s->outside[i].high,
            a->match.has_sources ? "bound one by one, once the others are taken"
                                 : "not used, for the pool has no addresses");
}

static const char *const to_policies[TO_POLICY_COUNT] = {
    [TO_CLIENT_FIRST] = "client-first",
    [TO_ROUND_ROBIN] = "round-robin",
    [TO_LEAST_USED] = "least-used",
};

static void text_endpoints(const struct answer *a) {
    char text[ENDPOINT_TEXT];
    for (unsigned i = 0; i < a->match.n_also; i++) {
        format_endpoint(text, &a->match.also.to[i].addr, a->match.also.to[i].port);
        say("%-12s%s", i ? "" : "also to", text);
    }
    if (a->match.n_also)
        say("            %s", a->match.to & TO_POLICY ? to_policies[a->match.to & TO_POLICY]
                                                      : "once its own destination has no quadruplet left");
    if (a->match.binding & BINDING_EXCLUSIVE)
        say("sharing     never: each connection has its source address and port to itself");
}

static void json_endpoints(const struct match *m) {
    char text[ENDPOINT_TEXT];
    printf(",\"to_policy\":\"%s\",\"also_to\":[", to_policies[m->to & TO_POLICY]);
    for (unsigned i = 0; i < m->n_also; i++) {
        format_endpoint(text, &m->also.to[i].addr, m->also.to[i].port);
        printf("%s\"%s\"", i ? "," : "", text);
    }
    printf("],\"port_sharing\":\"%s\"", m->binding & BINDING_EXCLUSIVE ? "never" : "allowed");
}

static void text_conduct(const struct answer *a) {
    const struct match *m = &a->match;
    static const char *const binds[] = {"its address is kept, the port is chosen late", "is left alone",
                                        "its address is replaced by a source"};
    if (m->wait_ms)
        say("if full     at most %u connects, then again for %u ms on a blocking socket, then %s", m->attempts,
            m->wait_ms, m->on_exhausted == EXHAUSTED_ERROR ? "EADDRNOTAVAIL" : "as the client asked");
    else
        say("if full     at most %u connects, then %s", m->attempts,
            m->on_exhausted == EXHAUSTED_ERROR ? "EADDRNOTAVAIL" : "as the client asked");
    say("own bind    a client's bind(ADDRESS, 0): %s", binds[m->client_bind]);
}

static void text_mode(const struct findings *f) {
    unsigned mode = check_mode(f, true), canary = check_canary(f, true);
    if (mode != MODE_ENFORCE)
        say("mode        %s: nothing of this is done now, connections go as the client asks", override_mode_name(mode));
    else if (canary < 100)
        say("mode        enforce, for %u %% of the %s", canary,
            f->policy.canary_by == BY_CONNECTION ? "connections" : "processes");
    else
        say("mode        enforce");
}

static void answer_text(const struct findings *f, const struct question *q, struct answer *a) {
    char to[ENDPOINT_TEXT];
    format_endpoint(to, &q->to.addr, q->to.port);
    say("to          %s, from %s%s", to, q->program[0] ? "program " : "a program that no rule names",
        q->program[0] ? q->program : "");
    if (a->rule < 0)
        say("rule        none: these connections are left alone, and their closes are logged");
    else
        say("rule        \"%s\"%s", f->policy.rule[a->rule].title,
            a->match.matched ? "" : ": action ignore, these connections are left alone");
    text_passed(f, q, a);
    if (!a->match.matched)
        return;
    say("pool        \"%s\", %s, %u address%s of this family and scope", f->policy.pool[a->match.pool].title,
        check_policy_name(a->match.policy), a->match.total, a->match.total == 1 ? "" : "es");
    text_sources(f, a);
    if (!spreads(a))
        return;
    text_ports(f, a);
    text_endpoints(a);
    text_conduct(a);
    text_mode(f);
}

static void json_ranges(const char *key, const struct port_range *range, unsigned n) {
    printf(",\"%s\":[", key);
    for (unsigned i = 0; i < n; i++)
        printf("%s\"%u-%u\"", i ? "," : "", range[i].low, range[i].high);
    putchar(']');
}

static void json_sources(const struct findings *f, struct answer *a) {
    printf(",\"sources_total\":%u,\"sources\":[", a->match.total);
    for (uint32_t i = 0; i < a->match.total && i < SHOWN; i++) {
        char text[ADDR_TEXT];
        struct endpoint source = nth_source(a, i);
        const char *wrong = trouble(f, a, &source);
        format_address(text, &source.addr);
        printf("%s{\"address\":\"%s\"", i ? "," : "", text);
        check_json_text(",\"trouble\":", wrong);
        putchar('}');
        a->usable += !wrong;
    }
    putchar(']');
}

static void answer_json(const struct findings *f, const struct question *q, struct answer *a) {
    const struct match *m = &a->match;
    struct port_range whole = f->host.ports.ephemeral;
    char to[ENDPOINT_TEXT];
    format_endpoint(to, &q->to.addr, q->to.port);
    printf("{\"to\":\"%s\"", to);
    check_json_text(",\"program\":", q->program[0] ? q->program : NULL);
    check_json_text(",\"rule\":", a->rule < 0 ? NULL : f->policy.rule[a->rule].title);
    printf(",\"passed_over\":[");
    for (unsigned i = 0; i < (a->rule < 0 ? f->policy.n_rules : (unsigned)a->rule) && i < POLICY_RULES; i++) {
        check_json_text(i ? ",{\"rule\":" : "{\"rule\":", f->policy.rule[i].title);
        printf(",\"reason\":\"%s\"}", reason_keys[check_passed(&f->policy, i, q)]);
    }
    printf("],\"spread\":%s,\"foretold\":%s,\"mode\":\"%s\",\"canary\":%u", spreads(a) ? "true" : "false",
           is_foretold(f, a) ? "true" : "false", override_mode_name(check_mode(f, true)), check_canary(f, true));
    if (m->matched) {
        check_json_text(",\"pool\":", f->policy.pool[m->pool].title);
        printf(",\"policy\":\"%s\"", check_policy_name(m->policy));
        json_sources(f, a);
        json_ranges("ports", m->n_ports ? a->ports.inside : &whole, m->n_ports ? a->ports.n_inside : 1);
        json_ranges("explicit_ports", a->ports.outside, m->has_sources ? a->ports.n_outside : 0);
        printf(",\"attempts\":%u,\"wait_ms\":%u,\"on_exhausted\":\"%s\"", m->attempts, m->wait_ms,
               m->on_exhausted == EXHAUSTED_ERROR ? "error" : "fallback");
        json_endpoints(m);
    }
    puts("}");
}

bool check_ask(const struct findings *f, const struct question *q, bool json) {
    struct answer a;
    if (!find_answer(f, q, &a)) {
        warn("no memory");
        return false;
    }
    (json ? answer_json : answer_text)(f, q, &a);
    return a.match.total == 0 || a.usable > 0;
}
