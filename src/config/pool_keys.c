#include "config/pool_keys.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "config/ranges.h"
#include "config/values.h"
#include "text/parse.h"

enum { STEP = 64 };

void compile_prefix_step(struct reading *r, const struct entry *e) {
    if (strcmp(e->text, "0") == 0)
        r->prefix_step = 0;
    else if (strcmp(e->text, "64") == 0)
        r->prefix_step = STEP;
    else
        value_wrong(r, e, "is no step", "64, for a new /64 before a new address in one, or 0");
}

void source_step(const struct reading *r, const struct entry *e, struct policy_source *source) {
    struct policy_target prefix;
    if (!r->prefix_step || !strchr(e->text, '/') || parse_target(e->text, &prefix) || addr_is_v4(&prefix.prefix) ||
        prefix.length >= STEP)
        return;
    unsigned bits = STEP - prefix.length;
    source->prefixes = bits < 32 ? UINT32_C(1) << bits : UINT32_MAX;
    source->count = sources_of_steps(source->prefixes);
}

/* One prefix out of the addresses of its scope. False: what is left does not fit, or a /64 would have to be cut. */
static bool exclude(struct reading *r, const struct entry *e, const struct policy_target *t) {
    enum addr_scope scope = addr_scope(&t->prefix);
    switch (sources_remove(&r->sources[scope], &t->prefix, t->length)) {
    case REMOVED:
        return true;
    case REMOVED_NO_ROOM:
        value_wrong(r, e, "leaves more than 32 ranges of one kind in this pool", "fewer exclusions, or a second pool");
        return false;
    case REMOVED_CUTS_STEP:
        value_wrong(r, e, "is a part of a /64 that prefix-step goes over", "the whole /64, or prefix-step = 0");
        return false;
    }
    return false;
}

static bool has_addresses(const struct reading *r) {
    for (unsigned scope = 0; scope < SCOPE_COUNT; scope++)
        if (r->sources[scope].count)
            return true;
    return false;
}

/* Before the first of the exclusions: what there is to take away from. */
static void begin_exclusions(struct reading *r, int line) {
    r->without_line = line;
    if (!has_addresses(r) && r->m->count == r->section_mistakes)
        mistake_add(
            r->m, line,
            "exclude-addresses: pool \"%s\" names no addresses, so there is nothing to leave out; try: addresses = { "
            "... } beside it",
            r->pool->title);
}

void compile_exclude_addresses(struct reading *r, const struct entry *e) {
    static const char right[] = "an address, a range A-B or a prefix A/LEN";
    struct policy_target t[TARGET_PREFIXES];
    unsigned count;
    const char *wrong = parse_targets(e->text, t, TARGET_PREFIXES, &count);
    if (!r->without_line)
        begin_exclusions(r, e->line);
    if (wrong || t[0].any || t[0].ports.low != 1 || t[0].ports.high != 65535) {
        value_wrong(r, e, "is no address of a pool", right);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        if (!exclude(r, e, &t[i]))
            return;
}

static bool is_name(const char *text) {
    size_t length = strlen(text);
    if (length < 1 || length >= POLICY_VARIABLE || isdigit((unsigned char)*text))
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && *text != '_')
            return false;
    return true;
}

static void hash_by_variable(struct reading *r, const struct entry *e, const char *name) {
    if (!is_name(name))
        value_wrong(r, e, "names no variable", "\"env:NAME\", letters, digits and _, at most 31 of them");
    else if (r->pool->hash_by & HASH_BY_ENV && strcmp(r->pool->hash_variable, name) != 0)
        value_wrong(r, e, "is a second variable", "one of them");
    else
        memcpy(r->pool->hash_variable, name, strlen(name) + 1);
    r->pool->hash_by |= HASH_BY_ENV;
}

void compile_hash_by(struct reading *r, const struct entry *e) {
    static const char *const words[] = {"destination", "process", "program", "user", NULL};
    if (!r->hash_by_line)
        r->hash_by_line = e->line;
    if (strncmp(e->text, "env:", 4) == 0) {
        hash_by_variable(r, e, e->text + 4);
        return;
    }
    for (unsigned i = 0; words[i]; i++)
        if (strcmp(e->text, words[i]) == 0) {
            r->pool->hash_by = (uint8_t)(r->pool->hash_by | 1u << i);
            return;
        }
    value_wrong(r, e, "is not one of its values",
                "\"destination\", \"process\", \"program\", \"user\" or \"env:NAME\"");
}

void pool_keys_end(struct reading *r) {
    if (r->stopped || r->m->count != r->section_mistakes)
        return;
    if (r->without_line && !has_addresses(r))
        mistake_add(r->m, r->without_line,
                    "exclude-addresses: none of the pool's addresses is left; try: exclude fewer");
    if (r->pool->hash_by & ~HASH_BY_DESTINATION && r->pool->policy != POOL_HASH)
        mistake_add(r->m, r->hash_by_line, "hash-by: the pool does not hash; try: policy = \"hash\" beside it");
}
