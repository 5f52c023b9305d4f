/* Runs inside the client: see the rules in policy.h. */
#include "policy/program.h"

#include <string.h>

#include "policy/glob.h"

/* How an interpreter reads its options, as far as it matters for which argument is the script.
 * Letters: next: a value stands behind them, in the same argument or the next. rest: only in the same one. name: the
 * value is what it runs. code: there is no script. Words, each between blocks: the same for whole arguments. */
static const struct interpreter {
    const char *glob;
    const char *next, *rest, *name, *code;
    const char *next_words, *name_words;
    bool words_alone; /* a single '-' begins a word as well */
} interpreters[] = {
    {.glob = "python*", .next = "WX", .name = "m", .code = "c", .next_words = " --check-hash-based-pycs "},
    {.glob = "pypy*", .next = "WX", .name = "m", .code = "c"},
    {.glob = "perl*", .next = "I", .rest = "MmiFlx0CdDV", .code = "eE"},
    {.glob = "ruby*", .next = "IrCE", .rest = "KTWxF0i", .code = "e"},
    {.glob = "node",
     .next = "rC",
     .code = "ep",
     .next_words = " --require --import --loader --experimental-loader --conditions --env-file "},
    {.glob = "nodejs", .next = "r", .code = "ep", .next_words = " --require --import --loader "},
    {.glob = "php", .next = "dcz", .name = "f", .code = "rBRE"},
    {.glob = "php[0-9]*", .next = "dcz", .name = "f", .code = "rBRE"},
    {.glob = "bash", .next = "oO", .code = "cs", .next_words = " --rcfile --init-file "},
    {.glob = "sh", .next = "o", .code = "cs"},
    {.glob = "dash", .next = "o", .code = "cs"},
    {.glob = "ksh*", .next = "o", .code = "cs"},
    {.glob = "zsh", .next = "o", .code = "cs"},
    {.glob = "lua*", .next = "el"},
    {.glob = "tclsh*", .next_words = " -encoding ", .words_alone = true},
    {.glob = "Rscript", .code = "e"},
    {.glob = "java",
     .next_words = " -cp -classpath --class-path -p --module-path --upgrade-module-path --add-modules --add-opens "
                   "--add-exports --add-reads --limit-modules ",
     .name_words = " -jar -m --module ",
     .words_alone = true},
};

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static const struct interpreter *find(const char *name) {
    if (*name == '-') /* a login shell */
        name++;
    for (size_t i = 0; i < sizeof interpreters / sizeof *interpreters; i++)
        if (policy_glob(interpreters[i].glob, name))
            return &interpreters[i];
    return NULL;
}

static bool has_word(const char *words, const char *wanted) {
    size_t length = strlen(wanted);
    for (const char *at = words ? strchr(words, ' ') : NULL; at; at = strchr(at + 1, ' '))
        if (strncmp(at + 1, wanted, length) == 0 && at[1 + length] == ' ')
            return true;
    return false;
}

static bool has_letter(const char *letters, char c) {
    return letters && strchr(letters, c);
}

/* What one argument that begins with '-' says of the arguments behind it, or of the script. */
enum said_by { SAYS_NOTHING, SAYS_SKIP_ONE, SAYS_NEXT_IS_SCRIPT, SAYS_NO_SCRIPT, SAYS_SCRIPT };

static enum said_by read_option(const struct interpreter *i, const char *option, const char **script) {
    if (option[1] == '\0')
        return SAYS_NO_SCRIPT; /* it reads its standard input */
    if (has_word(i->name_words, option) || strcmp(option, "--") == 0)
        return SAYS_NEXT_IS_SCRIPT;
    if (has_word(i->next_words, option))
        return SAYS_SKIP_ONE;
    if (option[1] == '-' || i->words_alone)
        return SAYS_NOTHING;
    for (const char *c = option + 1; *c; c++) {
        if (has_letter(i->code, *c))
            return SAYS_NO_SCRIPT;
        if (has_letter(i->rest, *c))
            return SAYS_NOTHING;
        if (has_letter(i->next, *c))
            return c[1] ? SAYS_NOTHING : SAYS_SKIP_ONE;
        if (has_letter(i->name, *c)) {
            *script = c + 1;
            return c[1] ? SAYS_SCRIPT : SAYS_NEXT_IS_SCRIPT;
        }
    }
    return SAYS_NOTHING;
}

const char *program_script(const char *interpreter, const char *arguments, size_t length) {
    const struct interpreter *i = find(interpreter);
    const char *end = arguments + length, *script = NULL;
    enum said_by said = SAYS_SKIP_ONE; /* argv[0] */
    /* An argument without its NUL was cut off, and is not believed. */
    for (const char *a = arguments, *stop; i && a < end; a = stop + 1) {
        stop = a + strnlen(a, (size_t)(end - a));
        if (stop == end)
            return NULL;
        if (said == SAYS_NEXT_IS_SCRIPT)
            return a;
        if (said == SAYS_SKIP_ONE) {
            said = SAYS_NOTHING;
            continue;
        }
        if (*a != '-')
            return *a ? a : NULL;
        said = read_option(i, a, &script);
        if (said == SAYS_NO_SCRIPT)
            return NULL;
        if (said == SAYS_SCRIPT)
            return script;
    }
    return NULL;
}

/* Behind the others, unless it is one of them. */
static void add_name(char out[PROGRAM_NAMES_TEXT], const char *path) {
    char have[POLICY_PROGRAM], name[POLICY_PROGRAM] = "";
    const char *rest = out, *base = base_name(path);
    size_t used = strlen(out);
    memcpy(name, base, strnlen(base, POLICY_PROGRAM - 1));
    while (program_next(&rest, have))
        if (strcmp(have, name) == 0)
            return;
    if (!*name || used + 1 + strlen(name) >= PROGRAM_NAMES_TEXT)
        return;
    if (used)
        out[used++] = '/';
    memcpy(out + used, name, strlen(name) + 1);
}

void program_names(char out[PROGRAM_NAMES_TEXT], const char *program, const char *executed, const char *arguments,
                   size_t length) {
    memset(out, 0, PROGRAM_NAMES_TEXT);
    executed = executed ? base_name(executed) : "";
    add_name(out, program);
    add_name(out, executed);
    const char *script = program_script(program, arguments, length);
    if (!script)
        script = program_script(executed, arguments, length);
    if (script)
        add_name(out, script);
}

bool program_next(const char **names, char out[POLICY_PROGRAM]) {
    const char *from = *names, *slash = strchr(from, '/');
    size_t length = slash ? (size_t)(slash - from) : strlen(from);
    size_t kept = length < POLICY_PROGRAM ? length : POLICY_PROGRAM - 1;
    if (length == 0)
        return false;
    memcpy(out, from, kept);
    out[kept] = '\0';
    *names = from + length + (from[length] == '/');
    return true;
}
