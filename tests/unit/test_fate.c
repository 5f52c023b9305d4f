/* shim/fate: what a close leaves behind, row by row as the kernel does it (src/DESIGN.md, "What a close does"). */
#include <errno.h>
#include <string.h>

#include "close/fate.h"
#include "suite.h"

#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

/* One row: what is known before the close, what is decided then, what the lookup says (0: nothing is asked) and what
 * stands in the end. */
struct row {
    const char *name;
    struct fate_facts facts;
    enum fate first;
    enum decided_by decided_by;
    bool ask;
    int found;
    enum tcp_state kernel;
    enum fate final;
};

#define FACTS(...)                                                                                                     \
    { .connected = true, __VA_ARGS__ }
#define NOT_ASKED    false, 0, TCP_STATE_UNKNOWN
#define FINDS(state) true, 0, state
#define IS_GONE      true, -ENOENT, TCP_STATE_UNKNOWN
#define CANNOT_ASK   true, -EMFILE, TCP_STATE_UNKNOWN

static const struct row rows[] = {
    {"we close first", FACTS(.phase = TCP_STATE_ESTABLISHED), FATE_TIME_WAIT, DECIDED_BY_CLOSE, NOT_ASKED,
     FATE_TIME_WAIT},
    {"shutdown(WR), peer silent", FACTS(.phase = TCP_STATE_FIN_WAIT_1, .shutdown_phase = TCP_STATE_ESTABLISHED),
     FATE_TIME_WAIT, DECIDED_BY_SHUTDOWN, NOT_ASKED, FATE_TIME_WAIT},
    {"the same, acknowledged", FACTS(.phase = TCP_STATE_FIN_WAIT_2, .shutdown_phase = TCP_STATE_ESTABLISHED),
     FATE_TIME_WAIT, DECIDED_BY_SHUTDOWN, NOT_ASKED, FATE_TIME_WAIT},
    {"shutdown(WR), peer's FIN came", FACTS(.phase = TCP_STATE_CLOSED, .shutdown_phase = TCP_STATE_ESTABLISHED),
     FATE_TIME_WAIT, DECIDED_BY_SHUTDOWN, FINDS(TCP_STATE_TIME_WAIT), FATE_TIME_WAIT},
    {"the same with unread data",
     FACTS(.phase = TCP_STATE_CLOSED, .shutdown_phase = TCP_STATE_ESTABLISHED, .unread = true), FATE_TIME_WAIT,
     DECIDED_BY_SHUTDOWN, FINDS(TCP_STATE_TIME_WAIT), FATE_TIME_WAIT},
    {"the same with SO_LINGER {1,0}",
     FACTS(.phase = TCP_STATE_CLOSED, .shutdown_phase = TCP_STATE_ESTABLISHED, .linger_reset = true), FATE_TIME_WAIT,
     DECIDED_BY_SHUTDOWN, FINDS(TCP_STATE_TIME_WAIT), FATE_TIME_WAIT},
    {"shutdown(WR), then the peer reset", FACTS(.phase = TCP_STATE_CLOSED, .shutdown_phase = TCP_STATE_ESTABLISHED),
     FATE_TIME_WAIT, DECIDED_BY_SHUTDOWN, IS_GONE, FATE_RESET},
    {"shutdown(WR), nobody can be asked", FACTS(.phase = TCP_STATE_CLOSED, .shutdown_phase = TCP_STATE_ESTABLISHED),
     FATE_TIME_WAIT, DECIDED_BY_SHUTDOWN, CANNOT_ASK, FATE_TIME_WAIT},
    {"both at once", FACTS(.phase = TCP_STATE_CLOSING, .shutdown_phase = TCP_STATE_ESTABLISHED), FATE_TIME_WAIT,
     DECIDED_BY_SHUTDOWN, NOT_ASKED, FATE_TIME_WAIT},
    {"peer closed first", FACTS(.phase = TCP_STATE_CLOSE_WAIT), FATE_PASSIVE, DECIDED_BY_CLOSE, NOT_ASKED,
     FATE_PASSIVE},
    {"peer closed first, unread data", FACTS(.phase = TCP_STATE_CLOSE_WAIT, .unread = true), FATE_RESET,
     DECIDED_BY_CLOSE, NOT_ASKED, FATE_RESET},
    {"peer closed first, SO_LINGER {1,0}", FACTS(.phase = TCP_STATE_CLOSE_WAIT, .linger_reset = true), FATE_RESET,
     DECIDED_BY_CLOSE, NOT_ASKED, FATE_RESET},
    {"peer's FIN, then our shutdown(WR)", FACTS(.phase = TCP_STATE_CLOSED, .shutdown_phase = TCP_STATE_CLOSE_WAIT),
     FATE_PASSIVE, DECIDED_BY_SHUTDOWN, NOT_ASKED, FATE_PASSIVE},
    {"the same, not acknowledged yet", FACTS(.phase = TCP_STATE_LAST_ACK, .shutdown_phase = TCP_STATE_CLOSE_WAIT),
     FATE_PASSIVE, DECIDED_BY_CLOSE, NOT_ASKED, FATE_PASSIVE},
    {"a second shutdown in LAST_ACK", FACTS(.phase = TCP_STATE_CLOSED, .shutdown_phase = TCP_STATE_LAST_ACK),
     FATE_PASSIVE, DECIDED_BY_SHUTDOWN, NOT_ASKED, FATE_PASSIVE},
    {"unread data", FACTS(.phase = TCP_STATE_ESTABLISHED, .unread = true), FATE_RESET, DECIDED_BY_CLOSE, NOT_ASKED,
     FATE_RESET},
    {"shutdown(WR), unread data",
     FACTS(.phase = TCP_STATE_FIN_WAIT_2, .shutdown_phase = TCP_STATE_ESTABLISHED, .unread = true), FATE_RESET,
     DECIDED_BY_CLOSE, IS_GONE, FATE_RESET},
    {"the same, and the peer's FIN just before the close",
     FACTS(.phase = TCP_STATE_FIN_WAIT_2, .shutdown_phase = TCP_STATE_ESTABLISHED, .unread = true), FATE_RESET,
     DECIDED_BY_CLOSE, FINDS(TCP_STATE_TIME_WAIT), FATE_TIME_WAIT},
    {"TCP_REPAIR", FACTS(.phase = TCP_STATE_ESTABLISHED, .repair = true), FATE_NONE, DECIDED_BY_CLOSE, NOT_ASKED,
     FATE_NONE},
    {"SO_LINGER {1,0}", FACTS(.phase = TCP_STATE_ESTABLISHED, .linger_reset = true), FATE_RESET, DECIDED_BY_CLOSE,
     NOT_ASKED, FATE_RESET},
    {"shutdown(WR), SO_LINGER {1,0}",
     FACTS(.phase = TCP_STATE_FIN_WAIT_1, .shutdown_phase = TCP_STATE_ESTABLISHED, .linger_reset = true), FATE_RESET,
     DECIDED_BY_CLOSE, IS_GONE, FATE_RESET},
    {"peer reset", FACTS(.phase = TCP_STATE_CLOSED), FATE_RESET, DECIDED_BY_CLOSE, NOT_ASKED, FATE_RESET},
    {"refused", {.phase = TCP_STATE_CLOSED}, FATE_NONE, DECIDED_BY_CLOSE, NOT_ASKED, FATE_NONE},
    {"shut down while connecting",
     {.phase = TCP_STATE_CLOSED, .shutdown_phase = TCP_STATE_SYN_SENT},
     FATE_NONE,
     DECIDED_BY_CLOSE,
     NOT_ASKED,
     FATE_NONE},
    {"shut down after the reset", FACTS(.phase = TCP_STATE_CLOSED, .shutdown_phase = TCP_STATE_CLOSED), FATE_RESET,
     DECIDED_BY_CLOSE, NOT_ASKED, FATE_RESET},
    {"copy still open", FACTS(.phase = TCP_STATE_ESTABLISHED, .others = true), FATE_TIME_WAIT, DECIDED_BY_CLOSE,
     FINDS(TCP_STATE_ESTABLISHED), FATE_SHARED},
    {"copy still open, peer closed first", FACTS(.phase = TCP_STATE_CLOSE_WAIT, .others = true), FATE_PASSIVE,
     DECIDED_BY_CLOSE, FINDS(TCP_STATE_CLOSE_WAIT), FATE_SHARED},
    {"the last copy", FACTS(.phase = TCP_STATE_ESTABLISHED, .others = true), FATE_TIME_WAIT, DECIDED_BY_CLOSE,
     FINDS(TCP_STATE_FIN_WAIT_1), FATE_TIME_WAIT},
    {"the last copy, peer closed first", FACTS(.phase = TCP_STATE_CLOSE_WAIT, .others = true), FATE_PASSIVE,
     DECIDED_BY_CLOSE, FINDS(TCP_STATE_LAST_ACK), FATE_PASSIVE},
    {"the last copy, all over at once", FACTS(.phase = TCP_STATE_CLOSE_WAIT, .others = true), FATE_PASSIVE,
     DECIDED_BY_CLOSE, IS_GONE, FATE_PASSIVE},
    {"somebody else shut it down", FACTS(.phase = TCP_STATE_CLOSED, .others = true), FATE_RESET, DECIDED_BY_CLOSE,
     FINDS(TCP_STATE_TIME_WAIT), FATE_TIME_WAIT},
    {"somebody else shut it down, and we again",
     FACTS(.phase = TCP_STATE_CLOSED, .shutdown_phase = TCP_STATE_CLOSED, .others = true), FATE_RESET, DECIDED_BY_CLOSE,
     FINDS(TCP_STATE_TIME_WAIT), FATE_TIME_WAIT},
    {"connecting", {.phase = TCP_STATE_SYN_SENT}, FATE_NONE, DECIDED_BY_CLOSE, NOT_ASKED, FATE_NONE},
    {"listening", {.phase = TCP_STATE_LISTEN}, FATE_NONE, DECIDED_BY_CLOSE, NOT_ASKED, FATE_NONE},
    {"TCP_LINGER2 < 0 in FIN_WAIT2",
     FACTS(.phase = TCP_STATE_FIN_WAIT_2, .shutdown_phase = TCP_STATE_ESTABLISHED, .linger2_off = true), FATE_NONE,
     DECIDED_BY_CLOSE, IS_GONE, FATE_NONE},
    {"TCP_LINGER2 < 0 before it", FACTS(.phase = TCP_STATE_ESTABLISHED, .linger2_off = true), FATE_NONE,
     DECIDED_BY_CLOSE, NOT_ASKED, FATE_NONE},
    {"TCP_LINGER2 < 0, both at once",
     FACTS(.phase = TCP_STATE_CLOSING, .shutdown_phase = TCP_STATE_ESTABLISHED, .linger2_off = true), FATE_TIME_WAIT,
     DECIDED_BY_SHUTDOWN, NOT_ASKED, FATE_TIME_WAIT},
    {"MPTCP, peer closed first", FACTS(.phase = TCP_STATE_ESTABLISHED, .mptcp = true), FATE_TIME_WAIT, DECIDED_BY_CLOSE,
     FINDS(TCP_STATE_LAST_ACK), FATE_PASSIVE},
    {"MPTCP, we close first", FACTS(.phase = TCP_STATE_ESTABLISHED, .mptcp = true), FATE_TIME_WAIT, DECIDED_BY_CLOSE,
     FINDS(TCP_STATE_FIN_WAIT_2), FATE_TIME_WAIT},
    {"MPTCP, we close first, peer still open", FACTS(.phase = TCP_STATE_ESTABLISHED, .mptcp = true), FATE_TIME_WAIT,
     DECIDED_BY_CLOSE, FINDS(TCP_STATE_ESTABLISHED), FATE_TIME_WAIT},
    {"MPTCP, copy still open", FACTS(.phase = TCP_STATE_ESTABLISHED, .mptcp = true, .others = true), FATE_TIME_WAIT,
     DECIDED_BY_CLOSE, FINDS(TCP_STATE_ESTABLISHED), FATE_SHARED},
    {"MPTCP fallen back to TCP, unread data", FACTS(.phase = TCP_STATE_ESTABLISHED, .unread = true, .fallback = true),
     FATE_RESET, DECIDED_BY_CLOSE, FINDS(TCP_STATE_FIN_WAIT_2), FATE_TIME_WAIT},
    {"the same where the kernel does reset", FACTS(.phase = TCP_STATE_ESTABLISHED, .unread = true, .fallback = true),
     FATE_RESET, DECIDED_BY_CLOSE, IS_GONE, FATE_RESET},
    {"MPTCP fallen back to TCP, TCP_LINGER2 < 0",
     FACTS(.phase = TCP_STATE_ESTABLISHED, .linger2_off = true, .fallback = true), FATE_NONE, DECIDED_BY_CLOSE,
     FINDS(TCP_STATE_FIN_WAIT_1), FATE_TIME_WAIT},
    {"the kernel would not tell the state", FACTS(.phase = TCP_STATE_UNKNOWN), FATE_NONE, DECIDED_BY_CLOSE,
     FINDS(TCP_STATE_TIME_WAIT), FATE_TIME_WAIT},
    {"nor after the close", FACTS(.phase = TCP_STATE_UNKNOWN), FATE_NONE, DECIDED_BY_CLOSE, CANNOT_ASK, FATE_NONE},
};

START_TEST(each_row_of_the_table_is_judged_as_the_kernel_does_it) {
    const struct row *row = &rows[_i];
    struct fate_verdict v = fate_decide(&row->facts);
    struct diag_answer answer = {.state = (uint8_t)row->kernel};
    bool lingers = row->facts.mptcp && !row->facts.others;
    ck_assert_msg(v.fate == row->first, "%s: fate %d", row->name, (int)v.fate);
    ck_assert_msg(v.decided_by == row->decided_by, "%s: decided by %d", row->name, (int)v.decided_by);
    ck_assert_msg(v.ask == row->ask, "%s: ask %d", row->name, v.ask);
    enum fate final = v.ask ? fate_from_lookup(row->found, &answer, v.fate, lingers) : v.fate;
    ck_assert_msg(final == row->final, "%s: in the end %d", row->name, (int) final);
}
END_TEST

/* What no combination of facts may lead to. */
static void assert_sane(const struct fate_facts *f, const struct fate_verdict *v) {
    bool open = f->phase == TCP_STATE_ESTABLISHED || f->phase == TCP_STATE_SYN_RECV ||
                f->phase == TCP_STATE_FIN_WAIT_1 || f->phase == TCP_STATE_FIN_WAIT_2 || f->phase == TCP_STATE_CLOSING;
    ck_assert(v->fate < FATES && v->fate != FATE_SHARED);
    ck_assert(v->decided_by < DECIDED_BYS);
    if (open && (f->linger_reset || f->unread))
        ck_assert_int_eq(v->fate, FATE_RESET);
    if (f->phase == TCP_STATE_CLOSE_WAIT || f->phase == TCP_STATE_LAST_ACK || f->phase == TCP_STATE_SYN_SENT)
        ck_assert_int_ne(v->fate, FATE_TIME_WAIT);
    if (f->phase == TCP_STATE_SYN_SENT || f->phase == TCP_STATE_LISTEN)
        ck_assert(v->fate == FATE_NONE && !v->ask);
    else if (f->mptcp || (f->others && f->phase != TCP_STATE_CLOSED))
        ck_assert(v->ask);
    if (f->phase == TCP_STATE_CLOSED && v->fate == FATE_TIME_WAIT)
        ck_assert_msg(f->shutdown_phase != TCP_STATE_UNKNOWN && v->ask, "a TIME-WAIT that is only guessed");
    if (v->decided_by == DECIDED_BY_SHUTDOWN)
        ck_assert(v->fate == FATE_TIME_WAIT || v->fate == FATE_PASSIVE);
}

START_TEST(no_combination_of_facts_gives_an_impossible_verdict) {
    for (int phase = 0; phase < TCP_STATES; phase++)
        for (int shutdown_phase = 0; shutdown_phase < TCP_STATES; shutdown_phase++)
            for (unsigned bits = 0; bits < 128; bits++) {
                struct fate_facts f = {
                    .phase = (enum tcp_state)phase,
                    .shutdown_phase = (enum tcp_state)shutdown_phase,
                    .connected = bits & 1,
                    .unread = bits & 2,
                    .linger_reset = bits & 4,
                    .linger2_off = bits & 8,
                    .mptcp = bits & 16,
                    .others = bits & 32,
                    .fallback = bits & 64,
                };
                struct fate_verdict v = fate_decide(&f);
                assert_sane(&f, &v);
            }
}
END_TEST

START_TEST(a_lookup_that_failed_changes_nothing) {
    struct diag_answer answer = {.state = TCP_STATE_TIME_WAIT};
    for (int first = 0; first < FATES; first++)
        ck_assert_int_eq(fate_from_lookup(-EPERM, &answer, (enum fate)first, false), first);
}
END_TEST

START_TEST(a_time_wait_is_not_reported_when_nothing_is_there) {
    for (int first = 0; first < FATES; first++)
        ck_assert_int_ne(fate_from_lookup(-ENOENT, NULL, (enum fate)first, false), FATE_TIME_WAIT);
}
END_TEST

START_TEST(every_state_that_a_lookup_can_find_has_a_fate) {
    for (unsigned state = 0; state < 256; state++) {
        struct diag_answer answer = {.state = (uint8_t)state};
        for (int first = 0; first < FATES; first++)
            for (int lingers = 0; lingers < 2; lingers++)
                ck_assert_int_lt(fate_from_lookup(0, &answer, (enum fate)first, lingers), FATES);
    }
}
END_TEST

START_TEST(a_state_that_the_kernel_may_add_one_day_is_unknown) {
    for (unsigned state = 1; state < TCP_STATES; state++)
        ck_assert_uint_eq(tcp_state_from_kernel(state), state);
    ck_assert_int_eq(tcp_state_from_kernel(TCP_STATES), TCP_STATE_UNKNOWN);
    ck_assert_int_eq(tcp_state_from_kernel(~0u), TCP_STATE_UNKNOWN);
}
END_TEST

START_TEST(a_half_closed_socket_that_another_process_holds_is_shared) {
    struct diag_answer held = {.state = TCP_STATE_FIN_WAIT_1, .inode = 4711}, orphan = {.state = TCP_STATE_FIN_WAIT_2};
    ck_assert_int_eq(fate_from_lookup(0, &held, FATE_TIME_WAIT, false), FATE_SHARED);
    ck_assert_int_eq(fate_from_lookup(0, &orphan, FATE_TIME_WAIT, false), FATE_TIME_WAIT);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("fate");
    TCase *tc = tcase_create("fate");
    tcase_add_loop_test(tc, each_row_of_the_table_is_judged_as_the_kernel_does_it, 0, COUNT(rows));
    tcase_add_test(tc, a_half_closed_socket_that_another_process_holds_is_shared);
    tcase_add_test(tc, no_combination_of_facts_gives_an_impossible_verdict);
    tcase_add_test(tc, a_lookup_that_failed_changes_nothing);
    tcase_add_test(tc, a_time_wait_is_not_reported_when_nothing_is_there);
    tcase_add_test(tc, every_state_that_a_lookup_can_find_has_a_fate);
    tcase_add_test(tc, a_state_that_the_kernel_may_add_one_day_is_unknown);
    suite_add_tcase(suite, tc);
    return run(suite);
}
