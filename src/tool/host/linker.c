#include "tool/host/linker.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool/host/preloadable.h"

extern char **environ;

/* "\tlibc.so.6 => /lib/libc.so.6 (0x7f...)" or "\t/lib64/ld-linux-x86-64.so.2 (0x7f...)" */
static char *path_in(char *line) {
    char *arrow = strstr(line, " => "), *path = arrow ? arrow + 4 : line + strspn(line, " \t");
    char *end = strstr(path, " (0x");
    if (!end || *path != '/')
        return NULL;
    *end = 0;
    return path;
}

/* "NAME=VALUE" behind those that are there, if there is a value. False: no memory. */
static bool add(char **environment, const char *name, const char *value) {
    while (*environment)
        environment++;
    if (value && asprintf(environment, "%s=%s", name, value) >= 0)
        return true;
    *environment = NULL;
    return !value;
}

/* With what decides which libraries the program gets, and nothing else that the linker would heed. */
static bool spawn(const char *linker, const char *file, const char *preload, int out, pid_t *pid) {
    char option[] = "--list", *argv[] = {(char *)(unsigned long)linker, option, (char *)(unsigned long)file, NULL};
    char *environment[3] = {NULL};
    posix_spawn_file_actions_t actions;
    bool good = add(environment, "LD_PRELOAD", preload) &&
                add(environment, "LD_LIBRARY_PATH", getenv("LD_LIBRARY_PATH")) &&
                posix_spawn_file_actions_init(&actions) == 0;
    if (good) {
        good = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO) == 0 &&
               posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
               posix_spawn(pid, linker, &actions, NULL, argv, environment) == 0;
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    free(environment[0]);
    free(environment[1]);
    return good;
}

bool linker_list(const char *program, const char *preload, void (*found)(void *context, const char *path),
                 void *context) {
    char file[PRELOADABLE_PATH], linker[PRELOADABLE_LINKER], self[PRELOADABLE_PATH], own[PRELOADABLE_LINKER],
        line[8192];
    int ends[2], status = 0;
    pid_t pid;
    if (!preloadable_file("/proc/self/exe", self, own) || !preloadable_file(program, file, linker) ||
        strcmp(own, linker) != 0 || pipe2(ends, O_CLOEXEC) != 0)
        return false;
    bool spawned = spawn(linker, file, preload, ends[1], &pid);
    (void)close(ends[1]);
    FILE *answer = spawned ? fdopen(ends[0], "r") : NULL;
    while (answer && fgets(line, sizeof line, answer)) {
        char *path = path_in(line);
        if (path)
            found(context, path);
    }
    if (answer)
        (void)fclose(answer);
    else
        (void)close(ends[0]);
    return spawned && waitpid(pid, &status, 0) == pid && status == 0;
}
