/* Messages for people go to stderr; stdout carries the answer and nothing else. What others have written, names of
 * files above all, is in both: no line leaves here that has not been through foreign_text. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tool/common/message.h"
#include "tool/common/foreign_text.h"

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
    va_list arguments;
    va_start(arguments, format);
    print(stdout, "", format, arguments);
    va_end(arguments);
}

void warn_lines(const char *text) {
    for (size_t length; *text; text += length + (text[length] == '\n')) {
        for (length = 0; text[length] && text[length] != '\n';)
            length++;
        foreign_print(stderr, text, length);
        fputc('\n', stderr);
    }
}
