#include "tool/record/start.h"

#include "state/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool/common/descriptors.h"
#include "tool/common/message.h"
#include "tool/record/journal_path.h"
#include "tool/record/journal.h"
#include "tool/record/logfile.h"

static void become(const char *state_file, const char *instance, const char *config) {
    const char *argv[] = {"connspread", "record", "-i", instance, config[0] ? "-c" : NULL, config, NULL};
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        (void)dup2(null, fd);
    descriptors_close_from(3);
    (void)unsetenv("LD_PRELOAD"); /* what the client is to have loaded is not for us */
    /* No folder is kept from being unmounted, unless the state file is named from it. */
    if (state_file[0] == '/' && chdir("/") != 0)
        _exit(127);
    execv("/proc/self/exe", (char *const *)argv);
    _exit(127);
}

/* Twice, so that it is init's child and not the client's. */
static bool spawn(const char *state_file, const char *instance, const char *config) {
    int status = 0;
    pid_t child = fork();
    if (child < 0)
        return false;
    if (child == 0) {
        pid_t grandchild = setsid() < 0 ? -1 : fork();
        if (grandchild == 0)
            become(state_file, instance, config);
        _exit(grandchild < 0);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool record_start(const char *state_file, const char *instance, const char *config, const char *log_file) {
    char path[STATE_PATH + 16];
    journal_path(path, sizeof path, state_file);
    /* The recorder has no stderr: what it would say is said here. */
    int fd = logfile_open(log_file);
    if (fd < 0) {
        warn(
            "%s: %s: no recorder is started, and events stay in the state file; try: connspread record, once it can be "
            "written",
            log_file, logfile_error_text(errno));
        return false;
    }
    (void)close(fd);
    if (!journal_needs_recorder(path))
        return true;
    if (spawn(state_file, instance, config))
        return true;
    warn("no recorder could be started for %s: %s; try: connspread record", log_file, strerror(errno));
    return false;
}
