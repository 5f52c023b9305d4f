#include "tool/reader/source.h"
#include "state/control.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/state_write.h"
#include "state/copy.h"

/* State files are untrusted: their strings need not end. */
static void copy_string(char *out, size_t size, const char *from, size_t from_size) {
    size_t n = strnlen(from, from_size < size - 1 ? from_size : size - 1);
    memcpy(out, from, n);
    out[n] = 0;
}

static void know(struct source *s, const struct stat *identity) {
    const struct state_header *header = s->state.header;
    s->identity = *identity;
    s->context = (struct event_context){.epoch = s->state.epoch};
    copy_string(s->context.host, sizeof s->context.host, header->host, sizeof header->host);
    copy_string(s->context.instance, sizeof s->context.instance, header->instance, sizeof header->instance);
}

enum state_error source_open(struct source *s, const char *path, int *error) {
    struct stat before = {0};
    (void)stat(path, &before);
    enum state_error result = state_copy(&s->state, AT_FDCWD, path, COPY_EVENTS, error);
    if (result == STATE_OK)
        know(s, &before);
    return result;
}

enum state_error source_write(struct source *s, const char *path, int *error) {
    struct stat before = {0};
    (void)stat(path, &before);
    enum state_error result = state_write(&s->state, path, error);
    if (result == STATE_OK)
        know(s, &before);
    return result;
}

enum state_error source_follow(struct source *s, const char *path, int *error) {
    enum state_error result = source_write(s, path, error);
    return result == STATE_NOT_OURS || result == STATE_IO ? source_open(s, path, error) : result;
}

bool source_refresh(struct source *s) {
    return !s->state.window || state_copy_again(&s->state, 0);
}

bool source_is_ours(const struct source *s) {
    return s->state.window ? state_copy_is_ours(&s->state) : s->identity.st_uid == geteuid();
}

void source_close(struct source *s) {
    state_release(&s->state);
}

void source_name(struct source *s, const struct event *e) {
    state_title(&s->state, e->rule_id, s->context.rule);
    state_title(&s->state, e->pool_id, s->context.pool);
}

bool source_was_replaced(const struct source *s, const char *path) {
    struct stat now;
    return stat(path, &now) == 0 && (now.st_ino != s->identity.st_ino || now.st_dev != s->identity.st_dev);
}
