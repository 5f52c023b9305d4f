/* policy/program: what a rule may call a process. */
#include <stdio.h>
#include <string.h>

#include "policy/program.h"
#include "suite.h"
#include "net/addr.h"
#include "policy/policy.h"

/* A command line as /proc/PID/cmdline has it: each blank becomes a NUL. */
static size_t cmdline(char out[512], const char *text) {
    size_t n = strlen(text) + 1;
    memcpy(out, text, n);
    for (size_t i = 0; i < n; i++)
        if (out[i] == ' ')
            out[i] = '\0';
    return n;
}

static const struct {
    const char *arguments, *script;
} lines[] = {
    {"python3 /opt/x/app.py -v", "/opt/x/app.py"},
    {"/usr/bin/python3.11 -u -W error -Xdev app.py", "app.py"},
    {"python3 -m http.server 80", "http.server"},
    {"python3 -um http.server", "http.server"},
    {"python3 -mjson.tool", "json.tool"},
    {"python3 -Sc import", NULL},
    {"python3 -", NULL},
    {"python3", NULL},
    {"python3 --check-hash-based-pycs always app.py", "app.py"},
    {"python3 -- app.py", "app.py"},
    {"perl -w -I lib -Mstrict job.pl", "job.pl"},
    {"perl -ne print", NULL},
    {"ruby -r json -Ilib job.rb", "job.rb"},
    {"node --inspect --require ./trace.js server.js", "server.js"},
    {"node -e 1", NULL},
    {"nodejs server.js", "server.js"},
    {"php -d memory_limit=1G artisan queue:work", "artisan"},
    {"php8.2 -f cron.php", "cron.php"},
    {"php-fpm8.2 --fpm-config /etc/php.conf", NULL},
    {"bash -eu -o pipefail backup.sh", "backup.sh"},
    {"bash -c curl", NULL},
    {"sh /etc/init.d/job start", "/etc/init.d/job"},
    {"-bash login.sh", "login.sh"},
    {"lua5.4 -e x=1 job.lua", "job.lua"},
    {"java -Xmx1g -cp a.jar:b.jar com.example.Main x", "com.example.Main"},
    {"java -server -jar /srv/app.jar --port 1", "/srv/app.jar"},
    {"curl -s http://x", NULL},
    {"python3x-tool", NULL},
};

START_TEST(the_script_of_an_interpreter_is_found) {
    char text[512];
    size_t n = cmdline(text, lines[_i].arguments);
    const char *slash = strrchr(text, '/');
    const char *script = program_script(slash ? slash + 1 : text, text, n);
    if (!lines[_i].script)
        ck_assert_msg(!script, "%s: %s", lines[_i].arguments, script);
    else
        ck_assert_str_eq(script ? script : "(none)", lines[_i].script);
}
END_TEST

START_TEST(an_argument_that_was_cut_off_is_not_believed) {
    static const char arguments[] = "python3\0/opt/app.py";
    ck_assert_ptr_nonnull(program_script("python3", arguments, sizeof arguments));
    for (size_t n = 0; n < sizeof arguments; n++)
        ck_assert_ptr_null(program_script("python3", arguments, n));
}
END_TEST

static const struct {
    const char *program, *executed, *arguments, *names;
} named[] = {
    {"python3", "/usr/bin/python3.11", "python3 /opt/x/app.py", "python3/python3.11/app.py"},
    {"python3", "/opt/x/app.py", "/usr/bin/python3 /opt/x/app.py", "python3/app.py"},
    {"curl", "/usr/bin/curl", "curl x", "curl"},
    {"worker", "/usr/bin/python3", "worker app.py", "worker/python3/app.py"},
    {"curl", NULL, "", "curl"},
    {"", "", "", ""},
    {"", "/bin/curl", "", "curl"},
    {"a-name-of-more-than-thirty-one-bytes", "/b", "", "a-name-of-more-than-thirty-one-/b"},
};

START_TEST(names_are_told_apart_and_none_twice) {
    char text[512], names[PROGRAM_NAMES_TEXT];
    size_t n = cmdline(text, named[_i].arguments);
    program_names(names, named[_i].program, named[_i].executed, text, n);
    ck_assert_str_eq(names, named[_i].names);
}
END_TEST

START_TEST(three_names_of_any_length_have_room) {
    char names[PROGRAM_NAMES_TEXT], text[512], one[POLICY_PROGRAM];
    char a[65], b[65], arguments[160];
    const char *rest = names;
    unsigned n = 0;
    memset(a, 'a', 64);
    memset(b, 'b', 64);
    a[64] = b[64] = '\0';
    snprintf(arguments, sizeof arguments, "%s %s", a, "cccccccccccccccccccccccccccccccccccccccccccc");
    memcpy(b, "python3", 7);
    program_names(names, a, b, text, cmdline(text, arguments));
    while (program_next(&rest, one))
        n += strlen(one) == sizeof one - 1;
    ck_assert_uint_eq(n, 3);
}
END_TEST

static bool rule_takes(const char *glob, const char *names) {
    static struct policy policy;
    struct match match;
    const struct endpoint to = {.addr = addr_from_v4(0x0a010001), .port = 80};
    policy_default(&policy);
    policy.n_programs = 1;
    policy.rule[0].programs = (struct policy_span){.count = 1};
    snprintf(policy.program[0], POLICY_PROGRAM, "%s", glob);
    policy_match(&policy, &to, names, &match);
    ck_assert_int_eq(policy_client_bind(&policy, names) != CLIENT_BIND_KEEP, match.matched);
    return match.matched;
}

START_TEST(a_rule_takes_a_process_by_any_of_its_names) {
    ck_assert(rule_takes("app.py", "python3/python3.11/app.py"));
    ck_assert(rule_takes("python3.1?", "python3/python3.11/app.py"));
    ck_assert(rule_takes("python3", "python3/python3.11/app.py"));
    ck_assert(!rule_takes("app", "python3/python3.11/app.py"));
    ck_assert(!rule_takes("python3*app.py", "python3/python3.11/app.py"));
    ck_assert(rule_takes("*", ""));
    ck_assert(!rule_takes("curl", ""));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("program");
    TCase *tcase = tcase_create("program");
    tcase_add_loop_test(tcase, the_script_of_an_interpreter_is_found, 0, sizeof lines / sizeof *lines);
    tcase_add_test(tcase, an_argument_that_was_cut_off_is_not_believed);
    tcase_add_loop_test(tcase, names_are_told_apart_and_none_twice, 0, sizeof named / sizeof *named);
    tcase_add_test(tcase, three_names_of_any_length_have_room);
    tcase_add_test(tcase, a_rule_takes_a_process_by_any_of_its_names);
    suite_add_tcase(suite, tcase);
    return run(suite);
}
