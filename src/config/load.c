#include "config/load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/reading.h"
#include "config/grammar.h"

/* All that is too large for a client's stack. */
struct loading {
    struct mistakes mistakes;
    struct source source;
    struct reading reading;
};

static struct policy_origin origin_of(const struct stat *s) {
    return (struct policy_origin){.device = s->st_dev,
                                  .inode = s->st_ino,
                                  .size = (uint64_t)s->st_size,
                                  .mtime_ns = (uint64_t)s->st_mtim.tv_sec * 1000000000u + (uint64_t)s->st_mtim.tv_nsec};
}

/* A config starts from the defaults, without the default's rule and pool. */
static void compile(struct loading *l, struct policy *out) {
    policy_default(out);
    memset(out->rule, 0, out->n_rules * sizeof *out->rule);
    memset(out->pool, 0, out->n_pools * sizeof *out->pool);
    memset(out->target, 0, out->n_targets * sizeof *out->target);
    out->n_rules = out->n_pools = out->n_targets = 0;
    l->reading = (struct reading){.out = out, .m = &l->mistakes, .source = &l->source};
    if (source_clean(&l->source, &l->mistakes))
        config_grammar(&l->reading);
    if (l->reading.interfaces)
        freeifaddrs(l->reading.interfaces);
}

static void set_path(struct policy *out, const char *path) {
    char *absolute = realpath(path, NULL);
    const char *best = absolute && strlen(absolute) < sizeof out->path ? absolute : path;
    memcpy(out->path, best, strnlen(best, sizeof out->path - 1));
    free(absolute);
}

/* Out of memory before anything can be collected. */
static int no_memory(const char *name, char *errors, size_t size) {
    struct mistakes m = {0};
    mistake_add(&m, 0,
                "memory: not enough to read this config; try: a higher memory limit for this process (ulimit -v)");
    return mistakes_write(&m, name, errors, size);
}

static int finish(struct loading *l, const char *name, char *errors, size_t size) {
    int count = mistakes_write(&l->mistakes, name, errors, size);
    free(l->source.text);
    free(l);
    return count;
}

int config_parse(const char *name, const char *text, size_t length, struct policy *out, char *errors, size_t size) {
    struct loading *l = calloc(1, sizeof *l);
    if (!l)
        return no_memory(name, errors, size);
    l->source.text = malloc(length + 2); /* the scanner looks one byte ahead */
    l->source.length = length;
    if (!l->source.text) {
        free(l);
        return no_memory(name, errors, size);
    }
    memcpy(l->source.text, text, length);
    memset(l->source.text + length, 0, 2);
    if (length > SOURCE_MAX)
        mistake_add(&l->mistakes, 0, "more than 1 MiB; try: a connspread.conf of a few hundred lines");
    else
        compile(l, out);
    return finish(l, name, errors, size);
}

int config_load(const char *path, struct policy *out, char *errors, size_t size) {
    struct loading *l = calloc(1, sizeof *l);
    struct stat identity;
    if (!l)
        return no_memory(path, errors, size);
    if (source_read(path, &l->source, &identity, &l->mistakes)) {
        compile(l, out);
        out->origin = origin_of(&identity);
        set_path(out, path);
    }
    return finish(l, path, errors, size);
}

bool config_origin(const char *path, struct policy_origin *out) {
    struct stat s;
    if (stat(path, &s) < 0)
        return false;
    *out = origin_of(&s);
    return true;
}
