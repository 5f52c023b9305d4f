#include "tool/common/arguments.h"

#include <stdio.h>
#include <string.h>

#include "tool/common/message.h"

int arguments_read(const struct command_line *line, int argc, char **argv, struct chosen *out, void *context) {
    int option;
    while ((option = getopt_long(argc, argv, line->letters, line->options, NULL)) != -1) {
        switch (option) {
        case 'c':
            out->config = optarg;
            break;
        case 'i':
            out->instance = optarg;
            break;
        case 'h':
            fputs(line->help, stdout);
            return EXIT_DONE;
        case '?':
            warn("%s: not understood; try: connspread %s --help", line->command, line->command);
            return EXIT_USAGE;
        default:
            if (!line->take(option, context))
                return EXIT_USAGE;
        }
    }
    return ARGUMENTS_GOOD;
}

bool arguments_format(const char *command, const char *text, bool *json) {
    *json = strcmp(text, "json") == 0;
    if (*json || strcmp(text, "text") == 0)
        return true;
    warn("%s: -o %s is not a format; try: text or json", command, text);
    return false;
}

bool arguments_locate(const struct chosen *c, struct location *out) {
    char error[LOCATE_ERROR];
    if (locate(out, c->config, c->instance, error))
        return true;
    warn("%s", error);
    return false;
}
