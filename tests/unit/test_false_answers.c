/* What emulators answer: calls that succeed and do nothing, as qemu-user's and gVisor's. A seccomp filter stands for
 * them: it lets a call return 0 without making it. Each test is a process of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/kernel_constants.h"
#include "client/client.h"
#include "client/process.h"
#include "client/sockinfo.h"
#include "connect/prepare.h"
#include "state/state.h"
#include "suite.h"

static bool no_filters;

static int tcp_socket(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* From here on that call with this option says 0 and does nothing. */
static void pretend(unsigned number, unsigned option) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, option, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    no_filters = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0; /* qemu-user has none */
}

START_TEST(a_state_that_was_not_written_is_none) {
    enum tcp_state phase = TCP_STATE_ESTABLISHED;
    uint32_t segments = 7;
    int fd = tcp_socket();
    ck_assert_int_eq(sockinfo_state(fd, &phase, NULL), 0);
    ck_assert_int_eq(phase, TCP_STATE_CLOSED);
    pretend(SYS_getsockopt, TCP_INFO);
    if (no_filters)
        return;
    phase = TCP_STATE_ESTABLISHED;
    ck_assert_int_eq(sockinfo_state(fd, &phase, NULL), -EPROTO);
    ck_assert_int_eq(sockinfo_state(fd, &phase, &segments), -EPROTO);
    ck_assert_int_eq(phase, TCP_STATE_ESTABLISHED);
    ck_assert_uint_eq(segments, 7);
    int error = 7;
    ck_assert(!sockinfo_connect_error(fd, 0, false, &error));
    ck_assert_int_eq(error, 0);
}
END_TEST

START_TEST(a_cookie_that_was_not_written_is_none) {
    int fd = tcp_socket();
    pretend(SYS_getsockopt, SO_COOKIE);
    if (!no_filters)
        ck_assert_uint_eq(sockinfo_cookie(fd), 0);
}
END_TEST

/* Kernels copy what fits; those of emulators say so. An unsigned char is what IP options are answered in, if no more is
 * asked for. */
START_TEST(an_answer_to_the_length_is_taken) {
    int fd = tcp_socket(), value = 7;
    ck_assert_int_eq(get_option(fd, SOL_SOCKET, SO_PROTOCOL, &value), 0);
    ck_assert_int_eq(value, IPPROTO_TCP);
    ck_assert_int_eq(get_option(-1, SOL_SOCKET, SO_PROTOCOL, &value), -EBADF);
}
END_TEST

START_TEST(an_option_that_does_nothing_is_found_out) {
    struct client client = {0};
    struct conn conn = {0};
    int fd = tcp_socket();
    pretend(SYS_setsockopt, IP_BIND_ADDRESS_NO_PORT);
    if (no_filters)
        return;
    ck_assert_int_eq(set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1), 0);
    ck_assert_int_eq(prepare_no_port(&client, fd, &conn), -ENOPROTOOPT);
    ck_assert(client.no_port_fails && !client.no_port_works);
    ck_assert_uint_eq(conn_flags(&conn), 0);
    ck_assert_int_eq(prepare_no_port(&client, fd, &conn), -ENOPROTOOPT);
}
END_TEST

START_TEST(an_option_that_works_is_asked_about_once) {
    struct client client = {0};
    struct conn conn[3] = {0};
    int fd[3] = {tcp_socket(), tcp_socket(), tcp_socket()}, value = 0;
    if (set_option(fd[0], SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1) != 0)
        return; /* this kernel has it not */
    ck_assert_int_eq(prepare_no_port(&client, -1, &conn[0]), -EBADF);
    ck_assert(!client.no_port_fails && !client.no_port_works);
    ck_assert_int_eq(prepare_no_port(&client, fd[1], &conn[1]), 0);
    ck_assert(client.no_port_works);
    ck_assert_int_eq(get_option(fd[1], SOL_IP, IP_BIND_ADDRESS_NO_PORT, &value), 0);
    ck_assert_int_eq(value, 1);
    pretend(SYS_getsockopt, IP_BIND_ADDRESS_NO_PORT);
    ck_assert_int_eq(prepare_no_port(&client, fd[2], &conn[2]), 0);
}
END_TEST

static int renewed;

static void renew(struct client *client) {
    (void)client;
    renewed++;
}

/* Forks as libc's handlers see it. The child's exit status: what was wrong. */
static int fork_child(struct client *client) {
    uint32_t before = process_generation();
    process_forked(client);
    process_forked(client); /* and asked again: it is the same */
    if (process_pid() != (uint32_t)getpid() || renewed != 1)
        return 1;
    if (process_generation() != before + 1 || process_first_generation() != before + 1)
        return 2;
    return process_may_record(client) ? 0 : 3;
}

START_TEST(a_page_that_was_not_wiped_hides_no_fork) {
    static struct client client = {.active = true, .env_mode = MODE_ENFORCE, .renewed = renew};
    int status;
    ck_assert(state_private(&client.state, "test"));
    pretend(SYS_madvise, MADV_WIPEONFORK);
    process_init();
    pid_t pid = fork();
    if (pid == 0)
        _exit(fork_child(&client));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    state_unmap(&client.state);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("false_answers");
    TCase *tc = tcase_create("false_answers");
    tcase_add_test(tc, a_state_that_was_not_written_is_none);
    tcase_add_test(tc, a_cookie_that_was_not_written_is_none);
    tcase_add_test(tc, an_answer_to_the_length_is_taken);
    tcase_add_test(tc, an_option_that_does_nothing_is_found_out);
    tcase_add_test(tc, an_option_that_works_is_asked_about_once);
    tcase_add_test(tc, a_page_that_was_not_wiped_hides_no_fork);
    suite_add_tcase(suite, tc);
    return run(suite);
}
