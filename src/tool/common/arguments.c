#include "tool/common/arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/meant.h"
#include "text/parse.h"
#include "tool/common/message.h"
#include "tool/screen/help.h"
#include "tool/screen/live.h"
#include "tool/common/time_text.h"

int arguments_read(const struct command_line *line, int argc, char **argv, struct chosen *out, void *context) {
    struct screen screen;
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
            screen = screen_stdout();
            help_print(&screen, line->help);
            return EXIT_DONE;
        case OPTION_WIDE:
            screen_make_wide();
            break;
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

bool arguments_time(const char *command, const char *option, const char *text, uint64_t *out_us) {
    const char *wrong = time_from_text(text, time_now_us(), out_us);
    if (wrong)
        warn("%s: %s %s is not a time; try: %s", command, option, text, wrong);
    return !wrong;
}

bool arguments_duration(const char *command, const char *option, const char *text, uint32_t *out_ms) {
    const char *wrong = parse_duration(text, out_ms);
    if (wrong)
        warn("%s: %s %s is not a duration; try: %s", command, option, text, wrong);
    return !wrong;
}

bool arguments_every(const char *command, const char *text, uint32_t *out_ms) {
    char seconds[32];
    *out_ms = LIVE_EVERY_MS;
    if (!text)
        return true;
    snprintf(seconds, sizeof seconds, "%s%s", text, text[strspn(text, "0123456789")] ? "" : "s");
    if (parse_duration(seconds, out_ms) == NULL && *out_ms >= LIVE_LEAST_MS && *out_ms <= LIVE_MOST_MS)
        return true;
    warn("%s: -w %s is not an interval; try: whole seconds, or 500ms, from 100ms to a day", command, text);
    return false;
}

bool arguments_target(const char *command, const char *option, const char *text, struct policy_target *out) {
    struct meant meant;
    if (meant_target(text, &meant)) {
        warn("%s: %s %s %s; try: %s", command, option, text, meant.what, meant.right);
        return false;
    }
    const char *wrong = parse_target(text, out);
    if (wrong)
        warn("%s: %s %s is not valid; try: %s", command, option, text, wrong);
    return !wrong;
}

bool arguments_number(const char *command, const char *option, uint64_t low, uint64_t high, uint64_t *out) {
    char *end;
    errno = 0;
    unsigned long long n = strtoull(optarg, &end, 10);
    bool good = optarg[0] >= '0' && optarg[0] <= '9' && !*end && !errno && n >= low && n <= high;
    *out = n;
    if (!good)
        warn("%s: %s %s is not in range; try: a whole number from %llu to %llu", command, option, optarg,
             (unsigned long long)low, (unsigned long long)high);
    return good;
}

bool arguments_locate(const struct chosen *c, struct location *out) {
    char error[LOCATE_ERROR];
    if (locate(out, c->config, c->instance, error))
        return true;
    warn("%s", error);
    return false;
}
