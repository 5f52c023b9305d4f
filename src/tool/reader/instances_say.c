#include "tool/reader/instances_say.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/control.h"
#include "state/copy.h"
#include "tool/common/message.h"
#include "tool/reader/instances.h"
#include "tool/reader/state_files.h"
#include "tool/common/locate.h"

enum { COMMAND = 4 * INSTANCES_WORD, SILENCE_OTHERS = 4 };

static bool is_plain(const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9') &&
            !strchr("_./-+@%:,", *p))
            return false;
    return text[0] != 0;
}

const char *instances_word(char out[INSTANCES_WORD], const char *text) {
    char *at = out;
    if (is_plain(text))
        return text;
    at += sprintf(at, "$'");
    for (const unsigned char *p = (const unsigned char *)text; *p && at < out + INSTANCES_WORD - 8; p++)
        at += *p < ' ' || *p > '~' || *p == '\'' || *p == '\\' ? sprintf(at, "\\x%02x", *p) : sprintf(at, "%c", *p);
    memcpy(at, "'", 2);
    return out;
}

static void folder_part(char out[STATE_PATH], const char *path) {
    snprintf(out, STATE_PATH, "%s", path);
    char *slash = strrchr(out, '/');
    if (slash)
        *slash = 0;
}

/* reload: the config is the one that its clients were started with. */
static void command_for(char out[COMMAND], const struct instance *i, const char *command, const char *rest) {
    char folder[STATE_PATH], a[INSTANCES_WORD], b[INSTANCES_WORD], c[INSTANCES_WORD];
    bool config = strcmp(command, "reload") == 0 && i->config[0];
    folder_part(folder, i->path);
    snprintf(out, COMMAND, "CONNSPREAD_DIR=%s connspread %s%s%s -i %s%s%s", instances_word(a, folder), command,
             config ? " -c " : "", config ? instances_word(b, i->config) : "", instances_word(c, i->name),
             rest[0] ? " " : "", rest);
}

void instance_say(const struct instance *i, const char *command, const char *rest) {
    char text[COMMAND], name[INSTANCES_WORD], program[INSTANCES_WORD], path[INSTANCES_WORD];
    const char *s = i->processes == 1 ? "" : "es";
    if (i->path[0]) {
        command_for(text, i, command, rest);
        warn("instance %s: %u process%s (%s[%u], uid %u) follow%s %s: try: %s", instances_word(name, i->name),
             i->processes, s, instances_word(program, i->program), i->pid, i->uid, i->processes == 1 ? "s" : "",
             instances_word(path, i->path), text);
    } else {
        warn("instance %s: %u process%s (%s[%u], uid %u) cannot be reached: %s; try: restart it without connspread",
             i->name[0] ? instances_word(name, i->name) : "without a name", i->processes, s,
             instances_word(program, i->program), i->pid, i->uid,
             i->has_file ? "its state file was removed, is of another version, or cannot be opened from here"
                         : "it could not have a state file");
    }
}

void instances_say_all(const struct instances *all, const struct location *where, const char *command,
                       const char *rest) {
    unsigned reached = 0;
    for (int same = 1; same >= 0; same--) /* what was meant comes first */
        for (size_t i = 0; i < all->n; i++)
            if ((strcmp(all->instance[i].name, where->instance) == 0) == same) {
                instance_say(&all->instance[i], command, rest);
                reached += all->instance[i].path[0] != 0;
            }
    if (all->n == 0)
        warn("no instance is running, as far as can be seen from here");
    if (reached && strcmp(command, "set") == 0)
        warn("all of these at once: try: connspread set --all %s", rest);
    if (all->hidden && geteuid() != 0)
        warn("%u processes cannot be looked into by this user; try: as root", all->hidden);
}

static bool folder_was_named(void) {
    const char *dir = getenv("CONNSPREAD_DIR");
    return dir && dir[0];
}

unsigned instances_say_others(const struct instances *all, const struct instance *ours, const struct location *where,
                              const char *command, const char *rest) {
    const char *dir = getenv("CONNSPREAD_DIR");
    unsigned n = 0;
    for (size_t i = 0; i < all->n; i++) {
        const struct instance *other = &all->instance[i];
        if (other == ours || strcmp(other->name, where->instance) != 0)
            continue;
        if (dir && dir[0] && (other->path[0] || strcmp(other->dir, dir) != 0))
            continue;
        if (n++ == 0)
            warn("%s was set, but not all processes of instance %s follow it:", where->state_file, where->instance);
        instance_say(other, command, rest);
    }
    return n;
}

static bool is_silent(const struct location *where) {
    struct state s;
    int error;
    enum state_error result = state_copy(&s, AT_FDCWD, where->state_file, COPY(SECTION_COUNTERS), &error);
    if (result != STATE_OK)
        return result == STATE_ABSENT;
    bool silent = state_counter(&s, COUNT_ATTACHED) == 0;
    state_release(&s);
    return silent;
}

void instances_say_silence(const struct location *where, const char *command) {
    struct instances running;
    unsigned others = 0;
    if (!is_silent(where))
        return;
    warn("no client has made a TCP connection under instance %s in %s. It may run without the library: env -i, sudo, "
         "su and cron clear LD_PRELOAD and CONNSPREAD_*; static, Go and setuid programs ignore it; and clients of "
         "another user have a folder of their own. try: connspread ls; connspread doctor PROGRAM",
         where->instance, where->folder);
    if (instances_find(&running))
        for (size_t i = 0; i < running.n && others < SILENCE_OTHERS; i++)
            if (running.instance[i].path[0] && strcmp(running.instance[i].path, where->state_file) != 0) {
                instance_say(&running.instance[i], command, "");
                others++;
            }
    instances_free(&running);
}

void instances_note_files(const struct location *where, const char *command) {
    char text[COMMAND], path[INSTANCES_WORD];
    struct state_files files;
    if (geteuid() != 0 || folder_was_named() || !state_files_find(&files, where->folder, true))
        return;
    for (size_t i = 0; i < files.n; i++) {
        const struct state_file *f = &files.file[i];
        struct instance other = {0};
        if (strcmp(f->instance, where->instance) != 0 || strcmp(f->path, where->state_file) == 0)
            continue;
        memcpy(other.path, f->path, sizeof other.path);
        memcpy(other.name, f->instance, sizeof other.name);
        command_for(text, &other, command, "");
        warn("note: %s (uid %u) is of this instance too: try: %s", instances_word(path, f->path), f->identity.st_uid,
             text);
    }
    state_files_free(&files);
}
