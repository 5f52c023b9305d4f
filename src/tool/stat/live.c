#include "tool/stat/live.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "tool/common/message.h"
#include "tool/host/host.h"
#include "tool/screen/live.h"
#include "tool/stat/live_print.h"
#include "tool/stat/take.h"
#include "tool/stat/watched.h"

/* Which instances there are is looked up so seldom, for it means a look at every process. */
enum { MOST = 64, FIND_SECONDS = 30 };

struct view {
    const struct location *where;
    bool one;
    struct watched *watched[MOST];
    unsigned n, more;  /* more: that there was no room for when it was last looked */
    uint64_t found_ns; /* when it was last looked which there are; 0: never */
    struct stat_report *scratch;
    struct host_ports ports;
    char wrong[STATE_PATH + 128];
};

static bool is_watched(const struct view *v, const struct state_file *f) {
    for (unsigned i = 0; i < v->n; i++)
        if (v->watched[i]->inode == f->identity.st_ino && strcmp(v->watched[i]->path, f->path) == 0)
            return true;
    return false;
}

static void drop(struct view *v, unsigned at) {
    watched_close(v->watched[at]);
    memmove(&v->watched[at], &v->watched[at + 1], (--v->n - at) * sizeof(struct watched *));
}

static void add(struct view *v, const struct state_file *f) {
    char dead[STATE_PATH];
    enum state_error result;
    int error;
    if (!f->instance[0] || f->usable != STATE_OK || is_watched(v, f) || state_file_dead(f, false, dead))
        return;
    if (v->n == MOST) {
        v->more++;
        return;
    }
    struct watched *w = watched_open(f->path, f, &result, &error);
    if (w)
        v->watched[v->n++] = w;
}

static void find_all(struct view *v) {
    struct state_files files = {0};
    if (!state_files_find(&files, v->where->folder, geteuid() == 0))
        return;
    for (unsigned i = v->n; i-- > 0;) {
        bool there = false;
        for (size_t j = 0; j < files.n && !there; j++)
            there = files.file[j].identity.st_ino == v->watched[i]->inode &&
                    strcmp(files.file[j].path, v->watched[i]->path) == 0;
        if (!there)
            drop(v, i);
    }
    v->more = 0;
    for (size_t i = 0; i < files.n; i++)
        add(v, &files.file[i]);
    state_files_free(&files);
}

/* NULL, or why not: the file that was asked for by name must be there. */
static const char *find_one(struct view *v) {
    const char *path = v->where->state_file;
    enum state_error result;
    struct stat file;
    int error;
    if (v->n && stat(path, &file) == 0 && file.st_ino == v->watched[0]->inode)
        return NULL;
    if (v->n)
        drop(v, 0);
    struct watched *w = watched_open(path, NULL, &result, &error);
    if (w)
        v->watched[v->n++] = w;
    else
        snprintf(v->wrong, sizeof v->wrong, "%s: %s", path, state_error_text(result, error));
    return w ? NULL : v->wrong;
}

static const char *look(void *context) {
    struct view *v = context;
    const char *what, *wrong = NULL;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    (void)host_look_at_ports(&v->ports, &what); /* it holds the kernel's defaults for what cannot be read */
    if (v->one)
        wrong = find_one(v);
    else if (!v->found_ns || now - v->found_ns > FIND_SECONDS * UINT64_C(1000000000)) {
        find_all(v);
        v->found_ns = now;
    }
    for (unsigned i = v->n; i-- > 0;)
        if (!watched_look(v->watched[i], v->scratch, &v->ports))
            drop(v, i);
    return wrong;
}

static void draw(void *context, const struct screen *to, unsigned lines) {
    const struct view *v = context;
    stat_live_print(v->watched, v->n, v->more, to, lines);
}

int stat_live(const struct location *where, bool one, unsigned every_ms) {
    struct view *v = calloc(1, sizeof *v);
    const char *wrong = "no memory";
    if (v)
        v->scratch = stat_report_new();
    if (v && v->scratch) {
        v->where = where;
        v->one = one;
        wrong = live_run(&(struct live){"connspread stat", every_ms, v, look, draw});
        while (v->n)
            drop(v, v->n - 1);
    }
    if (wrong)
        warn("stat: %s", wrong);
    if (v)
        free(v->scratch);
    free(v);
    return wrong ? EXIT_FOUND : EXIT_DONE;
}
