#include "tool/stat/all.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/message.h"
#include "tool/common/override.h"
#include "tool/common/strbuf.h"
#include "tool/stat/model.h"
#include "state/copy.h"
#include "tool/reader/state_files.h"
#include "tool/stat/json.h"
#include "tool/stat/occupancy.h"
#include "tool/stat/prometheus.h"
#include "tool/stat/take.h"

/* Of one user: rows of 450 bytes, which Prometheus' format needs all at once, and comparisons of rules with
 * quadruplets, a quarter of a microsecond each. */
enum { ROWS_PER_USER = 1 << 14, COMPARES_PER_USER = 1 << 21, USERS = 1024 };

struct user {
    uid_t uid;
    unsigned rows, left_out;
    uint64_t compares;
};

struct all {
    enum stat_format format;
    struct stat_report *scratch, **kept;
    size_t n_kept;
    unsigned n_users, more_users;
    bool no_occupancy;
    struct user user[USERS];
};

static struct user *user_of(struct all *all, uid_t uid) {
    for (unsigned i = 0; i < all->n_users; i++)
        if (all->user[i].uid == uid)
            return &all->user[i];
    if (all->n_users == USERS)
        return NULL;
    all->user[all->n_users] = (struct user){.uid = uid, .compares = COMPARES_PER_USER};
    return &all->user[all->n_users++];
}

static void json_stale(const struct state_file *f, const char *why) {
    char path[6 * STATE_PATH + 3];
    struct strbuf s;
    strbuf_init(&s, path, sizeof path);
    strbuf_json(&s, f->path, sizeof f->path);
    (void)strbuf_finish(&s);
    printf("{\"state_file\":%s,\"stale\":\"%s\"}\n", path, why);
}

static void text_line(const struct stat_report *r, const struct state_file *f) {
    char override[OVERRIDE_TEXT];
    uint64_t connects = 0;
    override_text(override, r->control, r->has_policy ? &r->settings : NULL);
    for (unsigned arm = 0; arm < ARMS; arm++)
        connects += r->counter[arm][COUNT_CONNECTS];
    if (r->stale[0])
        say("%s: uid %u, %s, %llu connects, stale: %s", f->path, r->uid, override, (unsigned long long)connects,
            r->stale);
    else
        say("%s: uid %u, %s, %llu connects, %u process%s%s", f->path, r->uid, override, (unsigned long long)connects,
            f->users, f->users == 1 ? "" : "es", f->hidden ? " and perhaps more" : "");
}

static void say_unusable(const struct state_file *f, const char *dead, const struct all *all) {
    const char *why = dead ? dead : state_error_text(f->usable, f->error);
    if (!f->instance[0] && !dead)
        return; /* being built at this moment */
    if (all->format == STAT_AS_TEXT)
        say("%s: stale: %s", f->path, why);
    else if (all->format == STAT_AS_JSON)
        json_stale(f, why);
    else
        warn("%s: stale: %s", f->path, why);
}

static void add_occupancy(struct all *all, const struct state *s, struct user *user) {
    if (stat_take_occupancy(all->scratch, s, &user->compares) || all->no_occupancy)
        return;
    all->no_occupancy = true;
    warn("the sockets of this network namespace cannot be listed: %s: no occupancy", strerror(errno));
}

/* False: no memory. */
static bool print_one(struct all *all, const struct state_file *f) {
    if (all->format == STAT_AS_TEXT)
        text_line(all->scratch, f);
    else if (all->format == STAT_AS_JSON)
        stat_print_json(all->scratch);
    else if (!(all->kept[all->n_kept] = stat_report_keep(all->scratch)))
        return false;
    else
        all->n_kept++;
    return true;
}

/* False: no memory. */
static bool one(struct all *all, struct state_file *f) {
    char text[STATE_PATH];
    struct state s;
    const char *dead = state_file_dead(f, false, text);
    struct user *user = user_of(all, f->identity.st_uid);
    if (!user || user->rows >= ROWS_PER_USER) {
        *(user ? &user->left_out : &all->more_users) += 1;
        return true;
    }
    if (f->usable == STATE_OK && f->instance[0])
        f->usable = state_file_copy(f, &s, COPY_STATS, &f->error);
    if (f->usable != STATE_OK || !f->instance[0]) {
        say_unusable(f, dead, all);
        return true;
    }
    stat_take(all->scratch, &s, f->path, f);
    if (all->format != STAT_AS_TEXT)
        add_occupancy(all, &s, user);
    state_release(&s);
    user->rows += all->scratch->n_rows + all->scratch->n_occupancies;
    return print_one(all, f);
}

static int by_instance(const void *left, const void *right) {
    const struct stat_report *a = *(struct stat_report *const *)left, *b = *(struct stat_report *const *)right;
    return strcmp(a->instance, b->instance);
}

/* Instances of one name, of several users: the first, which is our own if there is one, keeps it. */
static void make_labels_unique(const struct all *all) {
    struct stat_report **sorted = calloc(all->n_kept + 1, sizeof(struct stat_report *));
    for (size_t i = 0; sorted && i < all->n_kept; i++)
        sorted[i] = all->kept[i];
    if (sorted && all->n_kept)
        qsort(sorted, all->n_kept, sizeof(struct stat_report *), by_instance);
    for (size_t i = 0; sorted && i < all->n_kept;) {
        size_t first = i, end = i + 1;
        for (; end < all->n_kept && by_instance(&sorted[i], &sorted[end]) == 0; end++)
            if (sorted[end]->order < sorted[first]->order)
                first = end;
        for (; i < end; i++)
            if (i != first)
                memcpy(sorted[i]->label, sorted[i]->path, sizeof sorted[i]->label);
    }
    free(sorted);
}

static void say_bounds(const struct all *all, const struct state_files *files) {
    for (unsigned i = 0; i < all->n_users; i++) {
        const struct user *user = &all->user[i];
        if (user->left_out)
            warn("uid %u: %u state files left out: those before them have %u rows, and %d are read of one user",
                 (unsigned)user->uid, user->left_out, user->rows, ROWS_PER_USER);
        if (user->compares == 0)
            warn("uid %u: occupancy left out of some instances: their rules take too long", (unsigned)user->uid);
    }
    if (all->more_users)
        warn("%u state files left out: they belong to more than %d users", all->more_users, USERS);
    state_files_warn(files);
}

static void free_all(struct all *all) {
    for (size_t i = 0; i < all->n_kept; i++)
        free(all->kept[i]);
    free(all->kept);
    free(all->scratch);
    free(all);
}

static bool print_all(struct all *all, struct state_files *files) {
    bool good = true;
    for (size_t i = 0; i < files->n && good; i++)
        good = one(all, &files->file[i]);
    for (size_t i = 0; i < all->n_kept; i++)
        all->kept[i]->order = i;
    make_labels_unique(all);
    if (all->format == STAT_AS_PROMETHEUS)
        stat_print_prometheus((const struct stat_report *const *)all->kept, all->n_kept);
    return good;
}

int stat_all(const struct location *where, enum stat_format format) {
    struct state_files files = {0};
    struct all *all = calloc(1, sizeof *all);
    bool good = all && state_files_find(&files, where->folder, geteuid() == 0);
    if (good) {
        all->format = format;
        all->scratch = stat_report_new();
        all->kept = calloc(files.n + 1, sizeof(struct stat_report *));
        good = all->scratch && all->kept && print_all(all, &files);
    }
    if (!good)
        warn("no memory");
    else if (files.n == 0)
        warn("%s: no state file: nothing has run yet", where->folder);
    if (good)
        say_bounds(all, &files);
    if (all)
        free_all(all);
    state_files_free(&files);
    return good ? EXIT_DONE : EXIT_FOUND;
}
