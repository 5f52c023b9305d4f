#include "tool/report/fleet_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/common/strbuf.h"
#include "tool/common/time_text.h"
#include "tool/events/names.h"
#include "tool/report/fleet.h"
#include "tool/screen/wrap.h"

enum { INDENT = 6, NAME = 128 };

static const char *name_of(const struct report *r, unsigned host, char out[NAME]) {
    struct strbuf s;
    strbuf_init(&s, out, NAME);
    strbuf_plain(&s, r->facts.host[host].name, sizeof r->facts.host[host].name);
    (void)strbuf_finish(&s);
    return out;
}

/* "10.2.0.1:6379"; "" where the cause is local. */
static const char *destination_of(const struct fleet_trouble *t, char out[ENDPOINT_TEXT]) {
    out[0] = 0;
    if (t->port)
        format_endpoint(out, &t->peer, t->port);
    return out;
}

static const char *source_of(const struct fleet_trouble *t, char out[ADDR_TEXT]) {
    out[0] = 0;
    if (!addr_is_any(&t->local))
        format_address(out, &t->local);
    return out;
}

/* --- text --- */

/* Their names, filled into lines. */
static void print_names(const struct report *r, const struct fleet *fleet, const char *before, const bool *these,
                        const bool *without) {
    const struct screen to = screen_for_prose(screen_stdout());
    char name[NAME], *text = NULL;
    size_t size;
    FILE *names = open_memstream(&text, &size);
    if (!names)
        return;
    fprintf(names, "%*s%s", INDENT, "", before);
    for (unsigned at = 0; at < fleet->n_hosts; at++) {
        unsigned h = fleet->host[at];
        if (these[h] && !(without && without[h]))
            fprintf(names, " %s", name_of(r, h, name));
    }
    if (fclose(names) == 0)
        wrap_print(&to, text, INDENT);
    free(text);
}

static void print_apart(const struct report *r, const struct fleet *fleet, const struct fleet_trouble *t) {
    const struct screen to = screen_stdout();
    char name[NAME];
    for (unsigned at = 0; at < fleet->n_hosts; at++) {
        unsigned h = fleet->host[at];
        long long s = (long long)fleet_apart_s(t, h);
        if (s)
            wrap_printf(&to, INDENT + SCREEN_HANG, "%*s%s began %lld s %s most: another incident, or its clock is off",
                        INDENT, "", name_of(r, h, name), s < 0 ? -s : s, s < 0 ? "before" : "after");
    }
}

static void print_trouble(const struct report *r, const struct fleet *fleet, const struct fleet_trouble *t) {
    const struct screen screen = screen_stdout();
    char to[ENDPOINT_TEXT], from[ADDR_TEXT];
    destination_of(t, to);
    source_of(t, from);
    wrap_printf(&screen, INDENT, "    %s%s%s%s%s: %llu failed, on %u of %u host%s%s", event_name(NAMES_CAUSE, t->cause),
                to[0] ? " to " : "", to, from[0] ? " from " : "", from, (unsigned long long)t->failed, t->n_on,
                t->n_reach, t->n_reach == 1 ? "" : "s", t->port ? " with connections there" : "");
    if (t->n_on == t->n_reach)
        print_names(r, fleet, "all of them:", t->on, NULL);
    else if (2 * t->n_on > t->n_reach)
        print_names(r, fleet, "all but:", t->reach, t->on);
    else
        print_names(r, fleet, "only:", t->on, NULL);
    print_apart(r, fleet, t);
}

void fleet_print_text(const struct report *r) {
    struct fleet *fleet = r->facts.n_hosts < 2 ? NULL : malloc(sizeof *fleet);
    const struct screen to = screen_stdout();
    char name[NAME];
    uint64_t now = time_now_us();
    if (!fleet)
        return;
    fleet_find(&r->facts, fleet);
    printf("\nAcross %u hosts%s\n", r->facts.n_hosts, fleet->n ? "" : ": nothing failed");
    for (unsigned i = 0; i < fleet->n; i++)
        print_trouble(r, fleet, &fleet->trouble[i]);
    if (fleet->omitted)
        printf("    and %u more incidents\n", fleet->omitted);
    for (unsigned at = 0; at < fleet->n_hosts; at++) {
        unsigned h = fleet->host[at];
        if (fleet_ahead_s(fleet, h, now))
            wrap_printf(&to, INDENT, "    the clock of %s is ahead of this host's by %llu s at least",
                        name_of(r, h, name), (unsigned long long)fleet_ahead_s(fleet, h, now));
    }
    free(fleet);
}

/* --- JSON --- */

static json_t *text_or_null(const char *text) {
    return text[0] ? json_string(text) : json_null();
}

static json_t *host_json(const struct report *r, const struct fleet_trouble *t, unsigned host) {
    char name[NAME], time[32];
    struct strbuf s;
    strbuf_init(&s, time, sizeof time);
    strbuf_time(&s, t->first[host]);
    (void)strbuf_finish(&s);
    return json_pack("{s:s, s:I, s:s, s:I}", "host", name_of(r, host, name), "failed", (json_int_t)t->by[host], "first",
                     time, "apart_s", (json_int_t)fleet_apart_s(t, host));
}

static json_t *trouble_json(const struct report *r, const struct fleet *fleet, const struct fleet_trouble *t) {
    char to[ENDPOINT_TEXT], from[ADDR_TEXT], name[NAME];
    json_t *hosts = json_array(), *spared = json_array();
    for (unsigned at = 0; at < fleet->n_hosts; at++) {
        unsigned h = fleet->host[at];
        if (t->on[h])
            (void)json_array_append_new(hosts, host_json(r, t, h));
        else if (t->reach[h])
            (void)json_array_append_new(spared, json_string(name_of(r, h, name)));
    }
    return json_pack("{s:s, s:o, s:o, s:I, s:o, s:o}", "cause", event_name(NAMES_CAUSE, t->cause), "destination",
                     text_or_null(destination_of(t, to)), "source", text_or_null(source_of(t, from)), "failed",
                     (json_int_t)t->failed, "hosts", hosts, "spared", spared);
}

json_t *fleet_json(const struct report *r) {
    struct fleet *fleet = r->facts.n_hosts < 2 ? NULL : malloc(sizeof *fleet);
    char name[NAME];
    uint64_t now = time_now_us();
    if (!fleet)
        return json_null();
    fleet_find(&r->facts, fleet);
    json_t *troubles = json_array(), *ahead = json_array();
    for (unsigned i = 0; i < fleet->n; i++)
        (void)json_array_append_new(troubles, trouble_json(r, fleet, &fleet->trouble[i]));
    for (unsigned at = 0; at < fleet->n_hosts; at++) {
        unsigned h = fleet->host[at];
        if (fleet_ahead_s(fleet, h, now))
            (void)json_array_append_new(ahead, json_pack("{s:s, s:I}", "host", name_of(r, h, name), "seconds",
                                                         (json_int_t)fleet_ahead_s(fleet, h, now)));
    }
    json_int_t omitted = (json_int_t)fleet->omitted;
    free(fleet);
    return json_pack("{s:o, s:I, s:o}", "incidents", troubles, "omitted", omitted, "clocks_ahead", ahead);
}
