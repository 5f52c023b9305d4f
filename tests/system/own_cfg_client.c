/* own_cfg_client ADDRESS PORT N: burst, in a program that has functions of its own with the names of libconfuse's
 * (built with -rdynamic, so that they are exported). Exit 3 when anybody but main calls them. */
#include <stdlib.h>

void *cfg_init(void *options, int flags);
int cfg_parse(void *config, const char *path);
int cfg_parse_buf(void *config, const char *text);
int cfg_free(void *config);
void *cfg_getsec(void *config, const char *name);
long cfg_getint(void *config, const char *name);
char *cfg_getstr(void *config, const char *name);

static int expected;

static void called(void) {
    if (expected-- <= 0)
        _Exit(3);
}

void *cfg_init(void *options, int flags) {
    (void)flags;
    called();
    return options;
}

int cfg_parse(void *config, const char *path) {
    (void)config, (void)path;
    called();
    return 7;
}

int cfg_parse_buf(void *config, const char *text) {
    (void)config, (void)text;
    called();
    return 7;
}

int cfg_free(void *config) {
    (void)config;
    called();
    return 7;
}

void *cfg_getsec(void *config, const char *name) {
    (void)name;
    called();
    return config;
}

long cfg_getint(void *config, const char *name) {
    (void)config, (void)name;
    called();
    return 7;
}

char *cfg_getstr(void *config, const char *name) {
    (void)config, (void)name;
    called();
    return NULL;
}

#define main burst_main
int burst_main(int argc, char **argv);
#include "burst.c"
#undef main

int main(int argc, char **argv) {
    expected = 3;
    if (cfg_init(argv, 0) != argv || cfg_parse(argv, "x") != 7 || cfg_free(argv) != 7)
        return 4;
    return burst_main(argc, argv);
}
