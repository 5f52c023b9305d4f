#include "tool/quads/print.h"

#include <stdio.h>
#include <string.h>

#include "tool/quads/model.h"
#include "tool/common/strbuf.h"
#include "text/parse.h"
#include "tool/screen/columns.h"
#include "tool/screen/wrap.h"

enum { LINE = 8192, ALL_TEXT = 256 };

/* Names as in the design's JSON, and for people. */
static const struct {
    const char *key, *title;
} count_name[QUADS_COUNTS] = {
    [QUADS_ESTABLISHED] = {"established", "established"},
    [QUADS_TIME_WAIT] = {"time_wait", "time-wait"},
    [QUADS_FIN_WAIT] = {"fin_wait", "fin-wait"},
    [QUADS_OTHER] = {"other", "other"},
};

static size_t printed(const struct quads_report *r) {
    return r->top && r->top < r->table->n ? r->top : r->table->n;
}

static uint64_t time_wait_bytes(const struct quads_report *r, const struct quads_pair *p) {
    return (uint64_t)p->count[QUADS_TIME_WAIT] * r->slab[!addr_is_v4(&p->source)];
}

static double per_second(const struct quads_report *r) {
    return (double)r->capacity / TIME_WAIT_SECONDS;
}

/* --- JSON --- */

static void key(struct strbuf *s, const char *name) {
    strbuf_text(s, ",\"");
    strbuf_text(s, name);
    strbuf_text(s, "\":");
}

static void real(struct strbuf *s, const char *name, const char *format, double value) {
    char text[GROUPED_TEXT];
    (void)snprintf(text, sizeof text, format, value);
    key(s, name);
    strbuf_text(s, text);
}

static void json_addresses(struct strbuf *s, const struct quads_pair *p) {
    char text[ENDPOINT_TEXT];
    format_address(text, &p->source);
    strbuf_text(s, "{\"source\":\"");
    strbuf_text(s, text);
    format_endpoint(text, &p->destination, p->port);
    strbuf_text(s, "\",\"destination\":\"");
    strbuf_text(s, text);
    strbuf_text(s, "\"");
}

static void json_users(struct strbuf *s, const struct socket_users *u) {
    key(s, "processes");
    for (unsigned i = 0; i < u->n; i++) {
        strbuf_text(s, i ? ",{\"pid\":" : "[{\"pid\":");
        if (u->user[i].pid)
            strbuf_number(s, u->user[i].pid);
        else
            strbuf_text(s, "null");
        key(s, "uid");
        strbuf_number(s, u->user[i].uid);
        key(s, "program");
        if (u->user[i].pid)
            strbuf_json(s, u->user[i].name, sizeof u->user[i].name);
        else
            strbuf_text(s, "null");
        key(s, "sockets");
        strbuf_number(s, u->user[i].sockets);
        strbuf_text(s, "}");
    }
    strbuf_text(s, u->n ? "]" : "[]");
    key(s, "unowned");
    strbuf_number(s, u->unowned);
}

static void json_pair(struct strbuf *s, const struct quads_report *r, const struct quads_pair *p) {
    json_addresses(s, p);
    for (unsigned i = 0; i < QUADS_COUNTS; i++) {
        key(s, count_name[i].key);
        strbuf_number(s, p->count[i]);
    }
    key(s, "capacity");
    strbuf_number(s, r->capacity);
    real(s, "percent", "%.2f", quads_percent(p, r->capacity));
    key(s, "outside");
    strbuf_number(s, p->outside);
    key(s, "reusable");
    strbuf_number(s, p->reusable);
    if (p->next_free_ms == QUADS_NEVER) {
        key(s, "next_free_s");
        strbuf_text(s, "null");
    } else {
        real(s, "next_free_s", "%.3f", p->next_free_ms / 1000.0);
    }
    real(s, "per_second", "%.1f", per_second(r));
    key(s, "time_wait_bytes");
    if (r->slab_denied)
        strbuf_text(s, "null");
    else
        strbuf_number(s, time_wait_bytes(r, p));
    size_t at = (size_t)(p - r->table->pair);
    if (at < r->n_users)
        json_users(s, &r->users[at]);
    key(s, "direction");
    strbuf_text(s, r->table->inbound ? "\"inbound\"" : "\"outbound\"");
    key(s, "time");
    strbuf_text(s, "\"");
    strbuf_time(s, r->time_us);
    strbuf_text(s, "\"}\n");
}

void quads_print_json(const struct quads_report *r) {
    char line[LINE];
    for (size_t i = 0; i < printed(r); i++) {
        struct strbuf s;
        strbuf_init(&s, line, sizeof line);
        json_pair(&s, r, &r->table->pair[i]);
        (void)strbuf_finish(&s);
        (void)fputs(line, stdout);
    }
}

/* --- Prometheus --- */

static void family(const char *name, const char *help) {
    printf("# HELP connspread_%s %s\n# TYPE connspread_%s gauge\n", name, help, name);
}

/* Addresses and ports: nothing in the labels needs an escape. */
static void pair_metrics(const struct quads_pair *p, const char *direction) {
    char source[ADDR_TEXT], destination[ENDPOINT_TEXT];
    format_address(source, &p->source);
    format_endpoint(destination, &p->destination, p->port);
    for (unsigned i = 0; i < QUADS_COUNTS; i++)
        printf("connspread_quadruplets{version=\"" VERSION
               "\",direction=\"%s\",source=\"%s\",destination=\"%s\",state=\"%s\"} %llu\n",
               direction, source, destination, count_name[i].key, (unsigned long long)p->count[i]);
}

void quads_print_prometheus(const struct quads_report *r) {
    const char *direction = r->table->inbound ? "inbound" : "outbound";
    family("quadruplets", "Connections between a source and a destination, of any program; the fullest pairs.");
    for (size_t i = 0; i < printed(r); i++)
        pair_metrics(&r->table->pair[i], direction);
    family("quadruplets_all", "All connections of this network namespace, also those of pairs that are left out.");
    for (unsigned i = 0; i < QUADS_COUNTS; i++)
        printf("connspread_quadruplets_all{version=\"" VERSION "\",direction=\"%s\",state=\"%s\"} %llu\n", direction,
               count_name[i].key, (unsigned long long)r->table->total[i]);
    family("quadruplets_pairs", "Pairs of a source and a destination that have connections.");
    printf("connspread_quadruplets_pairs{version=\"" VERSION "\",direction=\"%s\"} %zu\n", direction, r->table->n);
    family("quadruplets_capacity", "How many quadruplets one source has to one destination.");
    printf("connspread_quadruplets_capacity{version=\"" VERSION "\",direction=\"%s\"} %u\n", direction, r->capacity);
}

/* --- text --- */

static void text_pair(struct columns *t, const struct quads_report *r, const struct quads_pair *p) {
    char text[ENDPOINT_TEXT];
    double percent = quads_percent(p, r->capacity);
    format_address(text, &p->source);
    columns_cell(t, text);
    format_endpoint(text, &p->destination, p->port);
    columns_cell(t, text);
    for (unsigned i = 0; i < QUADS_COUNTS; i++)
        columns_number(t, p->count[i]);
    columns_number(t, p->outside);
    snprintf(text, sizeof text, "%.1f %%", percent);
    columns_cell_in(t, screen_share_colour(percent), text);
    if (p->next_free_ms == QUADS_NEVER)
        snprintf(text, sizeof text, "-");
    else
        snprintf(text, sizeof text, "%.1f s", p->next_free_ms / 1000.0);
    columns_cell(t, text);
}

static void print_pairs(const struct quads_report *r, const struct screen *to) {
    struct column column[5 + QUADS_COUNTS] = {{r->table->inbound ? "client" : "source", 11, .right = false},
                                              {r->table->inbound ? "to" : "destination", 11, .right = false}};
    for (unsigned i = 0; i < QUADS_COUNTS; i++)
        column[2 + i] = (struct column){count_name[i].title, 11, .right = true, .may_go = true};
    column[2 + QUADS_COUNTS] = (struct column){"outside", 11, .right = true, .may_go = true};
    column[3 + QUADS_COUNTS] = (struct column){"used", 9, .right = true};
    column[4 + QUADS_COUNTS] = (struct column){"next free", 9, .right = true, .may_go = true};
    struct columns *t = columns_begin(column, 5 + QUADS_COUNTS, 0, 2);
    for (size_t i = 0; i < printed(r); i++) {
        text_pair(t, r, &r->table->pair[i]);
        if (i >= r->n_users)
            continue;
        char users[SOCKET_USERS_TEXT];
        socket_users_text(&r->users[i], users);
        columns_note(t, SCREEN_HANG, users);
    }
    columns_print(t, to);
    if (printed(r) < r->table->n)
        wrap_printf(to, SCREEN_HANG, "and %zu more, which are emptier: --top 0 shows all", r->table->n - printed(r));
}

static void print_capacity(const struct quads_report *r, const struct screen *to) {
    char number[GROUPED_TEXT], less[64] = "";
    const struct port_range range = r->ports.ephemeral;
    if (r->table->inbound)
        snprintf(less, sizeof less, " if clients choose from the same as this host");
    else if (r->capacity < range.high - range.low + 1u)
        snprintf(less, sizeof less, " less %s reserved", grouped(number, range.high - range.low + 1u - r->capacity));
    wrap_printf(to, SCREEN_HANG, "capacity of each: %s quadruplets, the ports %u-%u%s:", grouped(number, r->capacity),
                range.low, range.high, less);
    wrap_printf(to, SCREEN_HANG, "%.1f new connections a second, since each TIME-WAIT keeps its quadruplet for %d s",
                per_second(r), TIME_WAIT_SECONDS);
}

/* Of all that are shown or not: where connect() need not wait for the 60 s. */
static void print_reuse(const struct quads_report *r, const struct screen *to) {
    char number[GROUPED_TEXT], text[TW_REUSE_TEXT];
    uint64_t reusable = 0;
    for (size_t i = 0; i < r->table->n; i++)
        reusable += r->table->pair[i].reusable;
    if (r->table->inbound || !tw_reuse_text(&r->table->reuse, true, text))
        return;
    wrap_printf(to, SCREEN_HANG, "%s: %s may be taken now", text, grouped(number, reusable));
    if (r->table->reuse.step_width > 0)
        wrap_printf(to, SCREEN_HANG,
                    "net.ipv4.ip_local_port_step_width is %lld: connect() searches ports by random strides",
                    (long long)r->table->reuse.step_width);
}

static void print_memory(const struct quads_report *r, const struct screen *to) {
    char number[GROUPED_TEXT];
    uint64_t bytes = 0;
    if (r->slab_denied) {
        wrap_print(to, "kernel memory of the TIME-WAITs: not readable, /proc/slabinfo is for root", SCREEN_HANG);
        return;
    }
    for (size_t i = 0; i < r->table->n; i++)
        bytes += time_wait_bytes(r, &r->table->pair[i]);
    wrap_printf(to, SCREEN_HANG, "kernel memory of the TIME-WAITs: %s KiB", grouped(number, (bytes + 1023) / 1024));
}

void quads_print_text(const struct quads_report *r, const struct screen *to) {
    char all[ALL_TEXT];
    struct strbuf s;
    if (r->table->n)
        print_pairs(r, to);
    strbuf_init(&s, all, sizeof all);
    for (unsigned i = 0; i < QUADS_COUNTS; i++) {
        strbuf_text(&s, i ? ", " : "");
        strbuf_grouped(&s, r->table->total[i]);
        strbuf_text(&s, " ");
        strbuf_text(&s, count_name[i].title);
    }
    (void)strbuf_finish(&s);
    wrap_printf(to, SCREEN_HANG, "%sall %zu: %s", r->table->n ? "\n" : "", r->table->n, all);
    print_capacity(r, to);
    print_reuse(r, to);
    print_memory(r, to);
}
