#include "tool/common/locate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char etc_config[] = DEFAULT_CONF;

static const char *environment(const char *name) {
    const char *value = secure_getenv(name);
    return value && value[0] ? value : NULL;
}

/* Not realpath: a symbolic link's own name is what its owner calls the instance by. */
static bool absolute(char out[LOCATE_PATH], const char *path, char error[LOCATE_ERROR]) {
    char folder[LOCATE_PATH] = "";
    if (path[0] != '/' && !getcwd(folder, sizeof folder)) {
        snprintf(error, LOCATE_ERROR, "%.200s: the current folder cannot be named (%s); try: an absolute path", path,
                 strerror(errno));
        return false;
    }
    bool bare = path[0] == '/' || strcmp(folder, "/") == 0;
    int n = snprintf(out, LOCATE_PATH, "%s%s%s", bare ? "" : folder, path[0] == '/' ? "" : "/", path);
    if (n < LOCATE_PATH)
        return true;
    snprintf(error, LOCATE_ERROR, "%.200s...: this path has more than %d bytes; try: a shorter one", path,
             LOCATE_PATH - 1);
    return false;
}

static bool choose_config(struct location *out, const char *config, char error[LOCATE_ERROR]) {
    if (!config)
        config = environment("CONNSPREAD_CONF");
    if (!config && access(etc_config, F_OK) == 0)
        config = etc_config;
    if (!config)
        return true;
    if (!config[0]) {
        snprintf(error, LOCATE_ERROR, "the config file's name is empty; try: without -c, for the default");
        return false;
    }
    return absolute(out->config, config, error);
}

static bool choose_instance(struct location *out, const char *instance, char error[LOCATE_ERROR]) {
    if (!instance)
        instance = environment("CONNSPREAD_INSTANCE");
    if (state_instance(out->instance, instance, out->config[0] ? out->config : NULL))
        return true;
    if (instance)
        snprintf(error, LOCATE_ERROR,
                 "instance '%.100s': a name has 1 to %d bytes, no '/', and no '.' at its start; try: another name",
                 instance, STATE_INSTANCE - 1);
    else
        snprintf(
            error, LOCATE_ERROR,
            "%.3900s: an instance cannot have this file's name: a name has 1 to %d bytes, no '/', and no '.' at its "
            "start; try: -i NAME",
            out->config, STATE_INSTANCE - 1);
    return false;
}

bool locate(struct location *out, const char *config, const char *instance, char error[LOCATE_ERROR]) {
    const char *dir = environment("CONNSPREAD_DIR");
    char folder[LOCATE_PATH];
    *out = (struct location){0};
    if (!choose_config(out, config, error) || !choose_instance(out, instance, error))
        return false;
    if (dir && !absolute(folder, dir, error))
        return false;
    dir = dir ? folder : NULL;
    if (!state_path(out->state_file, dir, environment("XDG_RUNTIME_DIR"), out->instance)) {
        snprintf(error, LOCATE_ERROR,
                 "instance %s, folder %.3900s: the path of a state file has at most %d bytes; try: a shorter folder or "
                 "name",
                 out->instance, dir ? dir : "(default)", STATE_PATH - 1);
        return false;
    }
    memcpy(out->folder, out->state_file, sizeof out->folder);
    char *slash = strrchr(out->folder, '/');
    if (slash)
        *slash = 0;
    return true;
}

static const char *io_text(int error) {
    switch (error) {
    case ELOOP:
        return "is a symbolic link, and connspread follows none; try: remove it";
    case EFBIG:
        return "file too large: this process may make none of that size; try: ulimit -f unlimited";
    case ENOSPC:
    case EDQUOT:
        return "no space left on its file system, of 3 MB that it begins with; try: make room there, or another folder "
               "(CONNSPREAD_DIR)";
    case EROFS:
        return "read-only file system; try: another folder (CONNSPREAD_DIR)";
    case ENOENT:
        return "its folder cannot be made, for the one above it is missing; try: make that, or another folder "
               "(CONNSPREAD_DIR)";
    case EWOULDBLOCK:
        return "another process holds the lock on its folder; try: again";
    case EACCES:
    case EPERM:
        return "permission denied; try: as root, as the user of its clients, or another folder (CONNSPREAD_DIR)";
    default:
        return strerror(error);
    }
}

const char *state_error_text(enum state_error why, int error) {
    switch (why) {
    case STATE_OK:
        return "no error";
    case STATE_ABSENT:
        return "there is no such file, so nothing has run under this instance yet; try: connspread run -- PROGRAM, or "
               "-i "
               "with an instance that connspread stat --all shows";
    case STATE_IO:
        return io_text(error);
    case STATE_NOT_OURS:
        return "file or folder belongs to another user, or others may write to it; it must be yours or root's; try: "
               "another folder (CONNSPREAD_DIR)";
    case STATE_NOT_A_STATE:
        return "is not a state file of connspread, or it is damaged; try: connspread prune, which removes it if it is "
               "a "
               "regular file that no process uses";
    case STATE_OTHER_LAYOUT:
        return "was made by another version of connspread; try: that version, or connspread prune once no process uses "
               "the file";
    }
    return "cannot be used";
}
