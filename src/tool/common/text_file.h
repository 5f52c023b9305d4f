/* text_file.h - a whole file of /proc or /sys as text. */
#ifndef CONNSPREAD_TOOL_COMMON_TEXT_FILE_H
#define CONNSPREAD_TOOL_COMMON_TEXT_FILE_H

/* Up to its first NUL byte or its end. The caller frees it. NULL: errno. */
char *text_file(const char *path);

#endif
