/* source.h - the text of a config file, made safe for libconfuse.
 *
 * libconfuse 3.3 by itself counts the lines after a C comment wrongly, takes a comment within a list for a syntax
 * error, expands
 * ${VAR} from the environment, silently drops characters that it does not know (to = * is read as what follows), takes
 * "rule|to" for a key of another section and, in a string, goes on over line ends. All of that is settled here, before
 * it sees the text. */
#ifndef CONNSPREAD_CONFIG_SOURCE_H
#define CONNSPREAD_CONFIG_SOURCE_H

#include <sys/stat.h>

#include "config/mistakes.h"

enum {
    SOURCE_MAX = 1 << 20,   /* bytes of a config file */
    SOURCE_BLOCKS = 4096,   /* opening braces in it */
    SOURCE_VALUES = 16384,  /* commas in it; libconfuse's time grows with their square */
    SOURCE_POISON = '\001', /* stands in a value whose mistake has been reported already */
};

/* text: NUL-terminated, to be freed by the caller. */
struct source {
    char *text;
    size_t length;
    int n_pool_lines, n_rule_lines; /* where the n-th section of each kind begins */
    int pool_line[SOURCE_BLOCKS], rule_line[SOURCE_BLOCKS];
};

/* Reads the whole of path into source->text and its identity, from the same descriptor, into *identity. Reports into m
 * and returns false if that fails. */
bool source_read(const char *path, struct source *source, struct stat *identity, struct mistakes *m);

/* Blanks comments, reports what libconfuse would misread and puts SOURCE_POISON in its place. False: the rest of the
 * text cannot be understood. */
bool source_clean(struct source *source, struct mistakes *m);

#endif
