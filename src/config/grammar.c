#include "config/grammar.h"

#include <confuse.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/reading.h"
#include "config/suggest.h"
#include "config/sections.h"
#include "config/compile.h"

enum { KEYS_MAX = 24, UNKNOWN_MAX = 24, NAME_MAX_BYTES = 64, KINDS = 5 };
enum kind { ROOT, LOG, STATE, POOL, RULE };

static const char *const kind_name[KINDS] = {"root", "log", "state", "pool", "rule"};
static const struct key *const kind_keys[KINDS] = {config_root_keys, config_log_keys, config_state_keys,
                                                   config_pool_keys, config_rule_keys};

struct grammar {
    struct reading *reading;
    cfg_opt_t opts[KINDS][KEYS_MAX + UNKNOWN_MAX];
    struct {
        enum kind kind;
        char name[NAME_MAX_BYTES];
    } unknown[UNKNOWN_MAX];
    int n_unknown;
    bool again;        /* an unknown key was added: parse once more */
    int replaced_line; /* of the value that libconfuse has just dropped for a later one; 0: none */
};

/* libconfuse's callbacks have no argument for this, and its parser is not reentrant either. */
static struct grammar *current;

static enum kind kind_of(const cfg_t *cfg) {
    for (int kind = ROOT; kind < KINDS; kind++)
        if (strcmp(cfg->name, kind_name[kind]) == 0)
            return (enum kind)kind;
    return ROOT;
}

static void report_unknown(enum kind kind, const char *name, int line) {
    char right[SUGGESTION];
    suggest(kind_keys, kind_name, KINDS, (int)kind, name, right);
    if (strchr(name, SOURCE_POISON) == NULL)
        mistake_add(current->reading->m, line, "%.64s: is not known %s%s; try: %s", name, kind == ROOT ? "here" : "in ",
                    kind == ROOT ? "" : kind_name[kind], right);
}

static bool is_unknown(enum kind kind, const char *name) {
    for (int i = 0; i < current->n_unknown; i++)
        if (current->unknown[i].kind == kind && strcmp(current->unknown[i].name, name) == 0)
            return true;
    return false;
}

/* False: no room for it. */
static bool learn_unknown(enum kind kind, const char *name) {
    size_t length = strlen(name);
    if (current->n_unknown == UNKNOWN_MAX || length >= NAME_MAX_BYTES || is_unknown(kind, name))
        return false;
    current->unknown[current->n_unknown].kind = kind;
    memcpy(current->unknown[current->n_unknown++].name, name, length + 1);
    return true;
}

/* libconfuse's own messages. Their formats are told apart by their text: it offers nothing else. */
static void on_error(cfg_t *cfg, const char *format, va_list arguments) {
    struct mistakes *m = current->reading->m;
    enum kind kind = kind_of(cfg);
    char text[160], name[NAME_MAX_BYTES] = "";
    vsnprintf(text, sizeof text, format, arguments);
    if (sscanf(text, "no such option '%63[^']", name) == 1) {
        current->again = learn_unknown(kind, name);
        if (!current->again)
            report_unknown(kind, name, cfg->line);
    } else if (sscanf(text, "missing equal sign after option '%63[^']", name) == 1 && is_unknown(kind, name)) {
        report_unknown(kind, name, cfg->line);
    } else if (sscanf(text, "found duplicate title '%63[^']", name) == 1) {
        mistake_add(m, cfg->line, "\"%s\": is a title used before; try: a title of its own for each pool and each rule",
                    name);
    } else if (strchr(text, SOURCE_POISON) == NULL) {
        mistake_add(m, cfg->line, "syntax: %s; try: KEY = VALUE, KEY = { VALUE, VALUE } or SECTION \"TITLE\" { ... }",
                    text);
    }
}

static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result) {
    size_t length = strlen(value);
    struct entry *e = malloc(sizeof *e + length + 1);
    if (!e)
        return -1;
    e->line = cfg->line;
    memcpy(e->text, value, length + 1);
    *(void **)result = e;
    bool unknown = is_unknown(kind_of(cfg), opt->name);
    if (current->replaced_line && !unknown)
        mistake_add(current->reading->m, cfg->line, "%s: is given twice, first in line %d; try: keep one", opt->name,
                    current->replaced_line);
    current->replaced_line = 0;
    if (unknown && opt->nvalues == 1)
        report_unknown(kind_of(cfg), opt->name, cfg->line);
    return 0;
}

/* During the parse libconfuse frees a value only to replace it. */
static void on_free(void *value) {
    struct entry *e = value;
    if (current && !current->replaced_line)
        current->replaced_line = e->line;
    free(e);
}

static void build(struct grammar *g) {
    static const cfg_opt_t list = CFG_PTR_LIST_CB(NULL, NULL, CFGF_NODEFAULT, on_value, on_free);
    static const cfg_opt_t scalar = CFG_PTR_CB(NULL, NULL, CFGF_NODEFAULT, on_value, on_free);
    memset(g->opts, 0, sizeof g->opts);
    for (int kind = ROOT; kind < KINDS; kind++) {
        cfg_opt_t *opt = g->opts[kind];
        for (const struct key *key = kind_keys[kind]; key->name; key++, opt++) {
            *opt = key->list ? list : scalar;
            opt->name = key->name;
        }
        if (kind == ROOT) {
            *opt++ = (cfg_opt_t)CFG_SEC("log", g->opts[LOG], CFGF_MULTI);
            *opt++ = (cfg_opt_t)CFG_SEC("state", g->opts[STATE], CFGF_MULTI);
            *opt++ = (cfg_opt_t)CFG_SEC("pool", g->opts[POOL], CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
            *opt++ = (cfg_opt_t)CFG_SEC("rule", g->opts[RULE], CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
        }
        for (int i = 0; i < g->n_unknown; i++)
            if (g->unknown[i].kind == (enum kind)kind) {
                *opt = list;
                (opt++)->name = g->unknown[i].name;
            }
        *opt = (cfg_opt_t)CFG_END();
    }
}

static void parse_section(struct reading *r, cfg_t *cfg, enum kind kind) {
    r->section = kind_name[kind];
    for (const struct key *key = kind_keys[kind]; key->name; key++) {
        cfg_opt_t *opt = cfg_getopt(cfg, key->name);
        r->key = key->name;
        for (unsigned i = 0; i < cfg_opt_size(opt); i++) {
            const struct entry *e = cfg_opt_getnptr(opt, i);
            if (e)
                key->take(r, e);
        }
    }
}

/* The i-th section of its kind began here. */
static int line_of(const cfg_t *section, const int lines[], int count, unsigned i) {
    return i < (unsigned)count ? lines[i] : section->line;
}

/* One without a title, that there may be once. */
static void parse_single(struct reading *r, cfg_t *cfg, enum kind kind) {
    for (unsigned i = 0; i < cfg_size(cfg, kind_name[kind]); i++) {
        cfg_t *section = cfg_getnsec(cfg, kind_name[kind], i);
        if (i > 0)
            mistake_add(r->m, section->line, "%s: is given twice; try: keep one", kind_name[kind]);
        parse_section(r, section, kind);
    }
}

static void parse_all(struct reading *r, cfg_t *cfg) {
    const struct source *source = r->source;
    parse_section(r, cfg, ROOT);
    parse_single(r, cfg, LOG);
    parse_single(r, cfg, STATE); /* after it: what one bounds depends on the other */
    for (unsigned i = 0; i < cfg_size(cfg, "pool"); i++) {
        cfg_t *pool = cfg_getnsec(cfg, "pool", i);
        if (!config_pool_begin(r, cfg_title(pool), line_of(pool, source->pool_line, source->n_pool_lines, i)))
            break;
        parse_section(r, pool, POOL);
        config_pool_end(r);
    }
    for (unsigned i = 0; i < cfg_size(cfg, "rule"); i++) {
        cfg_t *rule = cfg_getnsec(cfg, "rule", i);
        if (!config_rule_begin(r, cfg_title(rule), line_of(rule, source->rule_line, source->n_rule_lines, i)))
            break;
        parse_section(r, rule, RULE);
        config_rule_end(r, cfg_getopt(rule, "to")->flags & CFGF_MODIFIED);
    }
}

/* Parses until no new unknown key turns up. NULL: no memory. */
static cfg_t *parse(struct grammar *g) {
    struct reading *r = g->reading;
    int before = r->m->count;
    cfg_t *cfg = NULL;
    do {
        mistakes_truncate(r->m, before);
        current = NULL;
        if (cfg)
            cfg_free(cfg);
        build(g);
        current = g;
        g->again = false;
        g->replaced_line = 0;
        cfg = cfg_init(g->opts[ROOT], CFGF_NONE);
        if (!cfg)
            return NULL;
        cfg_set_error_function(cfg, on_error);
        r->stopped = cfg_parse_buf(cfg, r->source->text) != CFG_SUCCESS;
    } while (g->again);
    return cfg;
}

void config_grammar(struct reading *r) {
    struct grammar *g = calloc(1, sizeof *g);
    if (!g) {
        mistake_add(r->m, 0,
                    "memory: not enough to read this config; try: a higher memory limit for this process (ulimit -v)");
        return;
    }
    g->reading = r;
    /* libconfuse would translate the messages that on_error reads. */
    locale_t plain = newlocale(LC_ALL_MASK, "C", NULL), before = plain ? uselocale(plain) : NULL;
    cfg_t *cfg = parse(g);
    if (plain) {
        uselocale(before);
        freelocale(plain);
    }
    if (!cfg)
        mistake_add(r->m, 0,
                    "memory: not enough to read this config; try: a higher memory limit for this process (ulimit -v)");
    else if (r->stopped && r->m->count == 0)
        mistake_add(r->m, 0, "syntax: libconfuse cannot read it; try: KEY = VALUE or SECTION \"TITLE\" { ... }");
    else
        parse_all(r, cfg);
    if (r->out->n_rules == 0 && r->out->mode == MODE_ENFORCE)
        mistake_note(r->m, 0,
                     "no rule: nothing is spread, closes are logged all the same; try: a pool and a rule, as in man "
                     "connspread.conf, or mode = \"observe\"");
    current = NULL;
    if (cfg)
        cfg_free(cfg);
    free(g);
}
