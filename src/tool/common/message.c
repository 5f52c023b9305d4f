/* Messages for people go to stderr; stdout carries the answer and nothing else. */
#include <stdarg.h>
#include <stdio.h>

#include "tool/common/message.h"

void complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    flockfile(stderr);
    fputs("connspread: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    funlockfile(stderr);
    va_end(arguments);
}
