#include "tool/common/actor.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/strbuf.h"

enum { NAME_MOST = 32 };

/* Names come from elsewhere (a program can call itself anything): printable, and cut. */
static void add_name(struct strbuf *s, const char *before, const char *name, const char *after) {
    strbuf_text(s, before);
    strbuf_plain(s, name, NAME_MOST);
    strbuf_text(s, after);
}

static void add_user(struct strbuf *s) {
    const struct passwd *user = getpwuid(getuid());
    const char *sudo = getenv("SUDO_USER");
    strbuf_text(s, "uid ");
    strbuf_number(s, getuid());
    if (user)
        add_name(s, " (", user->pw_name, ")");
    if (sudo && sudo[0])
        add_name(s, " for ", sudo, "");
}

static void add_parent(struct strbuf *s) {
    char path[32], name[NAME_MOST] = "";
    pid_t parent = getppid();
    snprintf(path, sizeof path, "/proc/%d/comm", (int)parent);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof name - 1);
    if (fd >= 0)
        (void)close(fd);
    if (n <= 0)
        return;
    name[strcspn(name, "\n")] = 0;
    add_name(s, ", from ", name, "[");
    strbuf_number(s, (uint64_t)parent);
    strbuf_text(s, "]");
}

void actor_name(char out[ACTOR_TEXT]) {
    struct strbuf s;
    char tty[64];
    strbuf_init(&s, out, ACTOR_TEXT);
    add_user(&s);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (ttyname_r(fd, tty, sizeof tty) != 0)
            continue;
        add_name(&s, ", ", tty, "");
        break;
    }
    add_parent(&s);
    (void)strbuf_finish(&s);
}
