#include "tool/log/print.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/common/foreign_text.h"
#include "tool/common/stop.h"
#include "tool/events/json.h"
#include "tool/events/text.h"
#include "tool/log/last.h"
#include "policy/glob.h"
#include "tool/events/names.h"
#include "tool/screen/wrap.h"

/* Where lines that do not fit go on: deeper than what an exhausted event lists. */
enum { HANG = 6 };

static int write_error;

static bool address_fits(const struct policy_target *want, const struct addr *a, uint16_t port) {
    /* One that had no port yet: any that was asked for will do. */
    const struct endpoint e = {.addr = *a, .port = port ? port : want->ports.low};
    return policy_target_fits(want, &e);
}

/* A connect that ran out of ports is of each source that it tried. */
static bool source_fits(const struct policy_target *want, const struct event_record *r) {
    const struct event_exhausted *x = &r->u.exhausted;
    bool listed = r->e.kind == EVENT_EXHAUSTED || r->e.kind == EVENT_TRACE_CONNECT;
    for (unsigned i = 0; listed && i < x->n_sources && i < EXHAUSTED_SOURCES; i++)
        if (address_fits(want, &x->source[i].address, 0))
            return true;
    return r->e.kind != EVENT_HOLDERS && address_fits(want, &r->e.local, r->e.local_port);
}

static bool has_peer(const struct event *e) {
    return e->kind != EVENT_ATTACH && e->kind != EVENT_DETACH && e->kind != EVENT_RELOAD && e->kind != EVENT_OVERRIDE;
}

static bool ends_fit(const struct log_request *request, const struct event_record *r) {
    if (!request->has_to && !request->has_source)
        return true;
    return has_peer(&r->e) && (!request->has_to || address_fits(&request->to, &r->e.peer, r->e.peer_port)) &&
           (!request->has_source || source_fits(&request->source, r));
}

static bool program_fits(const char *glob, const struct event *e) {
    char name[EVENT_PROGRAM + 1];
    snprintf(name, sizeof name, "%.*s", EVENT_PROGRAM, e->program);
    return !glob || policy_glob(glob, name);
}

bool log_wants(const struct log_request *request, const struct event_record *r) {
    const struct event *e = &r->e;
    return e->time_us >= request->since_us && e->time_us <= request->until_us &&
           (e->kind < 32 && request->kinds >> e->kind & 1) && (!request->has_pid || e->pid == request->pid) &&
           program_fits(request->program, e) && ends_fit(request, r);
}

static void output_failed(void) {
    if (!write_error)
        write_error = errno;
    stop_signal = 1;
}

/* What comes after the time. */
static struct wrap_paint paint_of(const struct event *e) {
    return (struct wrap_paint){event_colour(e->kind), strlen("2026-11-21T03:27:59.123456Z "),
                               strlen(event_name(NAMES_KIND, e->kind))};
}

static void print_text(const struct screen *to, const struct log_line *l, char *line, size_t size) {
    if (event_text(l->record, l->context, line, size) > 0)
        wrap_print_painted(to, line, HANG, paint_of(&l->record->e));
    else
        (void)putc_unlocked('\n', to->out);
}

static void print_place(const struct screen *to, const struct log_request *request, const struct event *e) {
    char program[EVENT_PROGRAM + 1];
    snprintf(program, sizeof program, "%.*s", EVENT_PROGRAM, e->program);
    if (e->kind == EVENT_EXHAUSTED && netns_is_other(request->netns, e->netns, e->pid, program))
        wrap_printf(to, HANG, "    in another network namespace: %s", request->netns->way);
}

static void print(FILE *out, const struct log_request *request, const struct log_line *l) {
    char line[EVENT_LINE_MAX];
    const struct screen to = {out, request->screen.width, request->screen.colours};
    int length;
    if (!request->json) {
        print_text(&to, l, line, sizeof line);
        if (l->of_this_boot)
            print_place(&to, request, &l->record->e);
        return;
    }
    if (!request->schema && l->original) {
        foreign_print_json(out, l->original, l->original_length);
    } else {
        length = event_json_as(request->schema, l->record, l->context, line, sizeof line);
        if (length > 0)
            (void)fwrite_unlocked(line, 1, (size_t)length, out);
    }
    (void)putc_unlocked('\n', out);
}

/* The line as it would be printed, among the last ones. */
static void keep(const struct log_request *request, const struct log_line *l) {
    char *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length);
    bool good = memory != NULL;
    if (good) {
        print(memory, request, l);
        good = fclose(memory) == 0 && last_add(request->last, text, length);
    }
    free(text);
    if (!good)
        output_failed();
}

void log_print(const struct log_request *request, const struct log_line *l) {
    if (request->last)
        keep(request, l);
    else
        print(stdout, request, l);
    if (ferror_unlocked(stdout))
        output_failed();
}

void log_flush(struct log_request *request) {
    if (request->last)
        last_print(request->last, stdout);
    request->last = NULL;
    if (fflush(stdout) != 0)
        output_failed();
}

int log_write_error(void) {
    return write_error;
}
