/* Messages for people go to stderr; stdout carries the answer and nothing else. What others have written, names of
 * files above all, is in both: no line leaves here that has not been through foreign_text. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tool/common/message.h"
#include "tool/common/foreign_text.h"
#include "tool/screen/wrap.h"

static void print(FILE *out, const char *before, const char *format, va_list arguments) {
    char *text = NULL;
    int length = vasprintf(&text, format, arguments);
    flockfile(out);
    fputs(before, out);
    if (length >= 0)
        foreign_print(out, text, (size_t)length);
    fputc('\n', out);
    funlockfile(out);
    if (length >= 0)
        free(text);
}

void warn(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print(stderr, "connspread: ", format, arguments);
    va_end(arguments);
}

void say(const char *format, ...) {
    const struct screen to = screen_stdout();
    char *line = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&line, &size);
    va_list arguments;
    if (!memory)
        return;
    va_start(arguments, format);
    print(memory, "", format, arguments);
    va_end(arguments);
    if (fclose(memory) == 0)
        wrap_print(&to, line, SCREEN_HANG);
    free(line);
}

void warn_lines(const char *text) {
    for (size_t length; *text; text += length + (text[length] == '\n')) {
        for (length = 0; text[length] && text[length] != '\n';)
            length++;
        foreign_print(stderr, text, length);
        fputc('\n', stderr);
    }
}
