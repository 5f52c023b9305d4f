/* text_file.h - a whole file of /proc or /sys as text. */
#ifndef CONNSPREAD_TOOL_COMMON_TEXT_FILE_H
#define CONNSPREAD_TOOL_COMMON_TEXT_FILE_H

/* Up to its first NUL byte or its end. The caller frees it. NULL: errno. */
char *text_file(const char *path);

/* Opens for reading what must be a regular file and no symbolic link, without waiting for the other end of a FIFO. A
 * descriptor, or -1 with errno. */
int file_regular(const char *path);

#endif
