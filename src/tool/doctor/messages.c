#include "tool/doctor/messages.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const struct message table[] = {
#define MESSAGE(program, text, status, retries, next) {program, text, status, retries, next},
#include "tool/doctor/messages.def"
#undef MESSAGE
};

enum { ROWS = sizeof table / sizeof *table, WORD = 32, WORDS = 256, NAMED = 3 /* what the program's name is worth */ };

/* The words of a line that stay the same: without those that have a digit, are a single letter or stand for a value. */
struct words {
    char word[WORDS][WORD];
    unsigned n;
};

static bool is_placeholder(const char *start, size_t length) {
    static const char *const name[] = {"HOST", "N"};
    if (length < 2)
        return true;
    for (size_t i = 0; i < length; i++)
        if (isdigit((unsigned char)start[i]))
            return true;
    for (unsigned i = 0; i < sizeof name / sizeof *name; i++)
        if (strlen(name[i]) == length && memcmp(name[i], start, length) == 0)
            return true;
    return false;
}

static void add_words(struct words *w, const char *text, size_t length) {
    for (size_t at = 0; at < length && w->n < WORDS;) {
        size_t end = at;
        while (end < length && isalnum((unsigned char)text[end]))
            end++;
        if (end > at && !is_placeholder(text + at, end - at)) {
            char *word = w->word[w->n++];
            for (size_t i = 0; i < WORD - 1 && at + i < end; i++)
                word[i] = (char)tolower((unsigned char)text[at + i]);
        }
        at = end > at ? end : at + 1;
    }
}

/* How many words of the pattern come in the line in their order. */
static unsigned in_order(const struct words *pattern, const struct words *line) {
    unsigned row[WORDS + 1] = {0};
    for (unsigned i = 0; i < pattern->n; i++) {
        unsigned diagonal = 0;
        for (unsigned j = 0; j < line->n; j++) {
            unsigned above = row[j + 1];
            if (strcmp(pattern->word[i], line->word[j]) == 0)
                row[j + 1] = diagonal + 1;
            else if (row[j] > above)
                row[j + 1] = row[j];
            diagonal = above;
        }
    }
    return row[line->n];
}

static bool has_word(const struct words *line, const char *word) {
    for (unsigned i = 0; i < line->n; i++)
        if (strcmp(line->word[i], word) == 0)
            return true;
    return false;
}

/* Its name is what a log puts before a line: "nginx: ", "nginx[991]". */
static bool is_tag(const struct message *m, const char *text) {
    size_t n = strcspn(m->program, " :");
    for (const char *at = text; *at; at++)
        if (strncasecmp(at, m->program, n) == 0 && (at == text || !isalnum((unsigned char)at[-1])) &&
            (at[n] == ':' || at[n] == '['))
            return true;
    return false;
}

/* Its name is one of the first words of the row, before a version. */
static bool is_named(const struct message *m, const struct words *line) {
    struct words name = {.n = 0};
    add_words(&name, m->program, strcspn(m->program, " "));
    bool all = name.n > 0;
    for (unsigned i = 0; i < name.n; i++)
        all = all && has_word(line, name.word[i]);
    return all;
}

/* Three words of four must be there, and two at least; one alone counts only of a program that is named. */
static unsigned score_of(const struct message *m, const struct words *line) {
    unsigned best = 0, named = is_named(m, line) ? NAMED : 0;
    for (const char *at = strchr(m->text, '`'); at; at = strchr(at, '`')) {
        const char *end = strchr(at + 1, '`');
        struct words pattern = {.n = 0};
        if (!end)
            break;
        add_words(&pattern, at + 1, (size_t)(end - at - 1));
        unsigned found = in_order(&pattern, line);
        bool fits = pattern.n && 4 * found >= 3 * pattern.n && (found > 1 || named || pattern.n > 1);
        if (fits && at[1] != '-' && found > best)
            best = found;
        at = end + 1;
    }
    return best > 1 || (best && named) ? best + named : 0;
}

static void score_part(const char *text, size_t length, unsigned score[ROWS]) {
    struct words words = {.n = 0};
    add_words(&words, text, length);
    for (unsigned i = 0; i < ROWS; i++) {
        unsigned now = score_of(&table[i], &words);
        score[i] = now > score[i] ? now : score[i];
    }
}

/* As a whole, for a line may have been pasted in parts, and each line, for the error may stand below a long trace. */
static void score_all(const char *text, unsigned score[ROWS]) {
    score_part(text, strlen(text), score);
    for (const char *line = text; *line; line += *line != '\0') {
        size_t n = strcspn(line, "\n");
        score_part(line, n, score);
        line += n;
    }
}

/* What a program of the table says in its own name is none of another's. */
static void leave_to_tagged(const char *text, unsigned score[ROWS]) {
    bool tagged[ROWS], any = false;
    for (unsigned i = 0; i < ROWS; i++)
        any |= tagged[i] = is_tag(&table[i], text);
    for (unsigned i = 0; any && i < ROWS; i++)
        if (!tagged[i])
            score[i] = 0;
}

unsigned messages_find(const char *text, const struct message *out[MESSAGES_MAX]) {
    unsigned score[ROWS] = {0}, best = 0, n = 0;
    _Static_assert(sizeof table / sizeof *table <= MESSAGES_MAX, "room for every row");
    score_all(text, score);
    leave_to_tagged(text, score);
    for (unsigned i = 0; i < ROWS; i++)
        best = score[i] > best ? score[i] : best;
    for (unsigned i = 0; best && i < ROWS; i++)
        if (score[i] == best)
            out[n++] = &table[i];
    return n;
}

/* A number that the part ends in is whole: "errno 99" is not in "errno 990". */
static bool has_part(const char *text, const char *part) {
    size_t n = strlen(part);
    bool number = isdigit((unsigned char)part[n - 1]);
    for (const char *at = text; (at = strcasestr(at, part)); at++)
        if (!number || !(isdigit((unsigned char)at[n]) || (at[n] == '.' && isdigit((unsigned char)at[n + 1]))))
            return true;
    return false;
}

const char *messages_meaning(const char *text) {
    static const char none_left[] =
        "EADDRNOTAVAIL: no source port is left towards that address and port, or the address to connect from is not on "
        "this host. connspread quads -p shows how full the ports are and which processes have them; connspread doctor "
        "what else can be the cause.";
    static const char in_use[] =
        "Of a client: it binds before it connects (EADDRINUSE), so that ports taken towards one server are lost for "
        "all. connspread doctor names the processes that have bound ports; under connspread run such a bind takes its "
        "port late.";
    static const struct {
        const char *part, *meaning, *beside; /* what must be there, too */
    } meaning[] = {
        {"address already in use", in_use, ""},
        {"EADDRINUSE", in_use, ""},
        {"assign requested address", none_left, ""},
        {"EADDRNOTAVAIL", none_left, ""},
        {"(99)", none_left, "connect"},
        {"errno=99", none_left, ""},
        {"errno 99", none_left, ""},
        {"error 99", none_left, ""},
        {"no free ports", none_left, ""},
        {" SC--",
         "HAProxy could not connect to that server; one reason is that no source port is left. connspread quads "
         "-p, while it happens, shows how full they are.",
         ""},
        {"too many open files",
         "EMFILE: the program's descriptors are used up, not the ports: raise its limit (ulimit "
         "-n, LimitNOFILE=), or look for connections that are never closed.",
         ""},
    };
    for (unsigned i = 0; i < sizeof meaning / sizeof *meaning; i++)
        if (has_part(text, meaning[i].part) && strcasestr(text, meaning[i].beside))
            return meaning[i].meaning;
    return NULL;
}
