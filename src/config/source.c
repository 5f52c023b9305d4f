#include "config/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum token_kind { NOTHING, WORD, STRING, EQUALS, OPEN, OTHER };

struct token {
    enum token_kind kind;
    const char *text;
    int length, line;
};

/* last[0] is the token before the one being read. */
struct scan {
    struct source *source;
    struct mistakes *m;
    char *at;
    int line, blocks, commas;
    int depth, open_line; /* braces open now, and where the outermost of them is */
    struct token last[3];
};

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_word(char c) {
    return !is_blank(c) && c != '\0' && strchr("\"'{}(),=#", c) == NULL;
}

static bool is_control(char c) {
    return (unsigned char)c < ' ' || c == 0x7f;
}

static void push(struct scan *s, enum token_kind kind, const char *text, const char *end, int line) {
    s->last[2] = s->last[1];
    s->last[1] = s->last[0];
    s->last[0] = (struct token){.kind = kind, .text = text, .length = (int)(end - text), .line = line};
}

/* At "${": libconfuse would put the environment's value here. */
static void refuse_expansion(struct scan *s) {
    mistake_add(s->m, s->line,
                "${...}: is not expanded from the environment; try: write the value itself, or this in single quotes");
    *s->at = SOURCE_POISON;
}

/* The rest of it outside quotes, whose brace would otherwise begin a section; leaves at on its last byte. */
static void poison_expansion(struct scan *s) {
    while (*s->at != '}' && s->at[1] != '\0' && s->at[1] != '\n')
        *s->at++ = SOURCE_POISON;
    *s->at = SOURCE_POISON;
}

static bool quoted(struct scan *s) {
    char quote = *s->at++, *begin = s->at;
    for (; *s->at != quote; s->at++) {
        char c = *s->at;
        if (c == '\0' || c == '\n') {
            mistake_add(s->m, s->line, "%c: the string has no end on its line; try: close it with %c", quote, quote);
            return false;
        }
        if (c == '\\' && s->at[1] != '\0' && s->at[1] != '\n') {
            if (quote == '"' && strchr("\\\"$", s->at[1]) == NULL) {
                mistake_add(s->m, s->line,
                            "\\%c: is not known in double quotes, only \\\\, \\\" and \\$ are; try: single quotes",
                            s->at[1]);
                s->at[0] = s->at[1] = SOURCE_POISON;
            }
            s->at++;
        } else if (quote == '"' && c == '$' && s->at[1] == '{') {
            refuse_expansion(s);
        } else if (is_control(c) && c != '\t') {
            mistake_add(s->m, s->line, "byte 0x%02x: is not text; try: remove it", (unsigned char)c);
            *s->at = SOURCE_POISON;
        }
    }
    push(s, STRING, begin, s->at, s->line);
    s->at++;
    return true;
}

/* An unquoted word: all that libconfuse would take for one, and what it would drop without a word. */
static void word(struct scan *s) {
    const char *begin = s->at;
    bool reported = false;
    for (; is_word(*s->at) && !(s->at[0] == '/' && s->at[1] == '*') && !(s->at[0] == '+' && s->at[1] == '='); s->at++) {
        char c = *s->at;
        if (c == '$' && s->at[1] == '{') {
            refuse_expansion(s);
            reported = true;
            poison_expansion(s);
        } else if (c == '*' || c == '|' || c == '+' || is_control(c)) {
            if (!reported)
                mistake_add(s->m, s->line, "%c: stands outside quotes; try: write the value in double quotes", c);
            reported = true;
            *s->at = SOURCE_POISON;
        }
    }
    push(s, WORD, begin, s->at, s->line);
}

static bool comment(struct scan *s) {
    int begin = s->line;
    bool block = s->at[0] == '/' && s->at[1] == '*';
    for (char *start = s->at; *s->at && (block || *s->at != '\n'); s->at++) {
        if (block && s->at[0] == '*' && s->at[1] == '/' && s->at >= start + 2) {
            s->at[0] = s->at[1] = ' ';
            s->at += 2;
            return true;
        }
        if (*s->at == '\n')
            s->line++;
        else
            *s->at = ' ';
    }
    if (block)
        mistake_add(s->m, begin, "/*: the comment has no end; try: close it with */");
    return !block;
}

/* At '{' of a section: remembers where it begins. */
static void section(struct scan *s) {
    const struct token *name = s->last[0].kind == STRING || s->last[1].kind == WORD ? &s->last[1] : &s->last[0];
    if (name->kind != WORD || name->length != 4)
        return;
    if (memcmp(name->text, "pool", 4) == 0)
        s->source->pool_line[s->source->n_pool_lines++] = name->line;
    else if (memcmp(name->text, "rule", 4) == 0)
        s->source->rule_line[s->source->n_rule_lines++] = name->line;
}

static bool punctuation(struct scan *s) {
    enum token_kind kind = *s->at == '{' ? OPEN : *s->at == '=' ? EQUALS : OTHER;
    if (kind == EQUALS && s->last[0].kind == STRING) {
        mistake_add(s->m, s->line, "\"%.*s\": is a key in quotes; try: write it without", s->last[0].length,
                    s->last[0].text);
        return false;
    }
    if (kind == OPEN && ++s->blocks > SOURCE_BLOCKS) {
        mistake_add(s->m, s->line, "{: more than %d sections and lists; try: prefixes and ranges", SOURCE_BLOCKS);
        return false;
    }
    if (*s->at == ',' && ++s->commas > SOURCE_VALUES) {
        mistake_add(s->m, s->line, ",: more than %d values; try: prefixes and ranges", SOURCE_VALUES);
        return false;
    }
    if (kind == OPEN && s->last[0].kind != EQUALS)
        section(s);
    if (*s->at == '}' && s->last[0].kind == OPEN && s->last[1].kind == EQUALS)
        mistake_add(s->m, s->last[0].line, "%.*s: {} is empty; try: list a value, or leave the key out for its default",
                    s->last[2].length, s->last[2].text);
    if (kind == OPEN && s->depth++ == 0)
        s->open_line = s->line;
    if (*s->at == '}' && s->depth > 0)
        s->depth--;
    push(s, kind, s->at, s->at + 1, s->line);
    s->at++;
    return true;
}

static bool one_token(struct scan *s) {
    char c = s->at[0], next = s->at[0] ? s->at[1] : '\0';
    if (is_blank(c)) {
        s->line += c == '\n';
        s->at++;
        return true;
    }
    if (c == '#' || (c == '/' && (next == '/' || next == '*')))
        return comment(s);
    if (c == '"' || c == '\'')
        return quoted(s);
    if (c == '+' && next == '=') {
        s->at++;
        return punctuation(s);
    }
    if (is_word(c)) {
        word(s);
        return true;
    }
    return punctuation(s);
}

static bool fail(struct mistakes *m, int fd, const char *text, const char *right) {
    mistake_add(m, 0, "%s; try: %s", text, right);
    if (fd >= 0)
        close(fd);
    return false;
}

static ssize_t read_all(int fd, char *text, size_t size) {
    size_t used = 0;
    while (used < size) {
        ssize_t n = read(fd, text + used, size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    return (ssize_t)used;
}

bool source_read(const char *path, struct source *source, struct stat *identity, struct mistakes *m) {
    static const char too_large[] = "more than 1 MiB", no_config[] = "a connspread.conf of a few hundred lines";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fail(m, fd, strerror(errno), "name a config file that this user may read");
    if (fstat(fd, identity) < 0)
        return fail(m, fd, strerror(errno), "name a config file that this user may read");
    if (!S_ISREG(identity->st_mode))
        return fail(m, fd, S_ISDIR(identity->st_mode) ? "is a directory" : "is not a regular file",
                    "name a config file");
    if (identity->st_size > SOURCE_MAX)
        return fail(m, fd, too_large, no_config);
    source->text = malloc(SOURCE_MAX + 2);
    if (!source->text)
        return fail(m, fd, strerror(errno), "give this process 1 MiB more memory");
    ssize_t length = read_all(fd, source->text, SOURCE_MAX + 1);
    if (length < 0)
        return fail(m, fd, strerror(errno), "name a config file that this user may read");
    if (length > SOURCE_MAX)
        return fail(m, fd, too_large, no_config);
    close(fd);
    source->text[length] = '\0';
    source->length = (size_t)length;
    return true;
}

/* What some editors put before the first word, and an editor does not show. */
static void mark(struct scan *s) {
    if (s->source->length < 3 || memcmp(s->at, "\xef\xbb\xbf", 3) != 0)
        return;
    mistake_add(s->m, 1, "byte order mark: stands before the first word; try: save the file as UTF-8 without it");
    memset(s->at, ' ', 3);
}

bool source_clean(struct source *source, struct mistakes *m) {
    struct scan s = {.source = source, .m = m, .at = source->text, .line = 1};
    const char *end = source->text + source->length, *nul = memchr(source->text, '\0', source->length);
    if (source->length >= 2 && (memcmp(source->text, "\xff\xfe", 2) == 0 || memcmp(source->text, "\xfe\xff", 2) == 0)) {
        mistake_add(m, 1, "byte order mark: the file is UTF-16; try: save it as UTF-8");
        return false;
    }
    if (nul) {
        int line = 1;
        for (const char *c = source->text; c < nul; c++)
            line += *c == '\n';
        mistake_add(m, line, "byte 0x00: is not text; try: remove it");
        return false;
    }
    mark(&s);
    while (s.at < end)
        if (!one_token(&s))
            return false;
    /* libconfuse takes the end of the file for the end of a section: a file that was cut off would pass. */
    if (s.depth > 0)
        mistake_add(m, s.open_line, "{: what begins here has no end; try: close it with }");
    return s.depth == 0;
}
