#include "tool/common/table.h"

#include <stdlib.h>
#include <string.h>

#include "tool/common/mix.h"

enum { WAYS = 8 };

/* Keys are a multiple of eight bytes. Never 0. */
static uint64_t hash_of(const void *key, size_t size) {
    uint64_t h = UINT64_C(0xcbf29ce484222325), word;
    for (size_t i = 0; i < size; i += sizeof word) {
        memcpy(&word, (const char *)key + i, sizeof word);
        h = mix(h, word);
    }
    return mix(h, 0) | UINT64_C(1) << 63;
}

static struct report_entry *entry_at(const struct report_table *t, size_t i) {
    return (struct report_entry *)(void *)(t->entries + i * t->size);
}

static void *key_of(struct report_entry *e) {
    return e + 1;
}

bool report_table_init(struct report_table *t, size_t size, size_t key_size, size_t sets,
                       void (*fold)(void *everything_else, const void *evicted)) {
    *t = (struct report_table){.size = size, .key_size = key_size, .sets = sets, .fold = fold};
    t->entries = calloc(sets * WAYS + 1, size);
    return t->entries != NULL;
}

void report_table_free(struct report_table *t) {
    free(t->entries);
    t->entries = NULL;
}

/* Its place, or NULL; *worst: where a newcomer would go. */
static struct report_entry *look(const struct report_table *t, const void *key, uint64_t hash,
                                 struct report_entry **worst) {
    size_t first = ((size_t)hash & (t->sets - 1)) * WAYS;
    *worst = entry_at(t, first);
    for (size_t i = 0; i < WAYS; i++) {
        struct report_entry *e = entry_at(t, first + i);
        if (e->hash == hash && memcmp(key_of(e), key, t->key_size) == 0)
            return e;
        if ((*worst)->hash && (e->hash == 0 || e->weight < (*worst)->weight))
            *worst = e;
    }
    return NULL;
}

void *report_table_get(struct report_table *t, const void *key) {
    struct report_entry *worst;
    uint64_t hash = hash_of(key, t->key_size);
    struct report_entry *e = look(t, key, hash, &worst);
    if (e)
        return e;
    if (worst->hash) {
        t->fold(report_table_rest(t), worst);
        t->evicted++;
    }
    memset(worst, 0, t->size);
    worst->hash = hash;
    memcpy(key_of(worst), key, t->key_size);
    return worst;
}

void *report_table_find(const struct report_table *t, const void *key) {
    struct report_entry *worst;
    return look(t, key, hash_of(key, t->key_size), &worst);
}

void *report_table_next(const struct report_table *t, size_t *at) {
    while (*at < t->sets * WAYS) {
        struct report_entry *e = entry_at(t, (*at)++);
        if (e->hash)
            return e;
    }
    return NULL;
}

void *report_table_rest(const struct report_table *t) {
    return entry_at(t, t->sets * WAYS);
}

/* Equals come in the order of their keys, not in that of their places. */
static bool is_before(const struct report_table *t, const void *a, const void *b,
                      int (*compare)(const void *, const void *)) {
    int order = compare(a, b);
    return order < 0 || (order == 0 && memcmp((const char *)a + sizeof(struct report_entry),
                                              (const char *)b + sizeof(struct report_entry), t->key_size) < 0);
}

size_t report_table_top(const struct report_table *t, const void **out, size_t n,
                        int (*compare)(const void *, const void *)) {
    size_t found = 0, at = 0;
    const void *e;
    while ((e = report_table_next(t, &at))) {
        size_t place = found;
        while (place > 0 && is_before(t, e, out[place - 1], compare))
            place--;
        if (place == n)
            continue;
        found += found < n;
        memmove(out + place + 1, out + place, (found - place - 1) * sizeof *out);
        out[place] = e;
    }
    return found;
}
