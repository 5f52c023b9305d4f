#include "tool/screen/screen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PERCENT_WARNING = 80, PERCENT_BAD = 95 };

static bool wide;

void screen_make_wide(void) {
    wide = true;
}

void screen_size(int fd, unsigned *columns, unsigned *lines) {
    struct winsize size = {0};
    bool known = ioctl(fd, TIOCGWINSZ, &size) == 0;
    *columns = known ? size.ws_col : 0;
    *lines = known ? size.ws_row : 0;
}

static unsigned terminal_width(void) {
    const char *said = getenv("COLUMNS");
    unsigned columns = 0, lines;
    char *end = NULL;
    unsigned long n = said && said[0] >= '0' && said[0] <= '9' ? strtoul(said, &end, 10) : 0;
    if (n > 0 && n < 100000 && !*end)
        columns = (unsigned)n;
    else
        screen_size(STDOUT_FILENO, &columns, &lines);
    columns = columns ? columns : SCREEN_WIDTH;
    return columns < SCREEN_NARROWEST ? SCREEN_NARROWEST : columns;
}

static bool has_colours(void) {
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return !(no && no[0]) && term && term[0] && strcmp(term, "dumb") != 0;
}

struct screen screen_stdout(void) {
    bool terminal = isatty(STDOUT_FILENO);
    return (struct screen){
        .out = stdout, .width = terminal && !wide ? terminal_width() : 0, .colours = terminal && has_colours()};
}

struct screen screen_for_prose(struct screen s) {
    if (s.width == 0 || s.width > SCREEN_WIDTH)
        s.width = SCREEN_WIDTH;
    return s;
}

enum colour screen_share_colour(double percent) {
    return percent >= PERCENT_BAD ? COLOUR_BAD : percent >= PERCENT_WARNING ? COLOUR_WARNING : COLOUR_NONE;
}

void screen_paint(const struct screen *s, enum colour colour, const char *text, size_t length) {
    static const char *const code[] = {[COLOUR_NONE] = "",
                                       [COLOUR_BAD] = "\033[31m",
                                       [COLOUR_WARNING] = "\033[33m",
                                       [COLOUR_GOOD] = "\033[32m",
                                       [COLOUR_STRONG] = "\033[1m"};
    bool painted = s->colours && colour != COLOUR_NONE && length > 0;
    if (painted)
        fputs(code[colour], s->out);
    (void)fwrite(text, 1, length, s->out);
    if (painted)
        fputs("\033[0m", s->out);
}
