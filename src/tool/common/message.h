/* message.h - what the commands of the tool share. */
#ifndef CONNSPREAD_TOOL_COMMON_MESSAGE_H
#define CONNSPREAD_TOOL_COMMON_MESSAGE_H

/* Exit statuses of every command but run, which exits as its command does. */
enum { EXIT_DONE, EXIT_FOUND, EXIT_USAGE };

/* One line on stderr: "connspread: " and the message. And one on stdout. Of both, what could move a terminal's cursor
 * or begin another line is '?' (foreign_text.h). */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Lines of text as they are, but for the same characters. */
void warn_lines(const char *text);

#endif
