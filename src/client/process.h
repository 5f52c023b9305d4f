/* process.h - which process is this? A question that costs nothing when the answer has not changed.
 *
 * After fork the child holds copies of the parent's records; after vfork it shares the parent's memory but not its
 * descriptor table. A page that the kernel wipes in a fork child (MADV_WIPEONFORK, Linux 4.14) tells the first without
 * a system call; comparing getpid with the page tells the second, from the first vfork or clone that was asked of libc
 * or of syscall() on. (A child that shares memory and was made with the bare instruction is not seen. libc's own, of
 * posix_spawn and its kin, call none of our wrappers.) All functions are async-signal-safe. */
#ifndef CONNSPREAD_CLIENT_PROCESS_H
#define CONNSPREAD_CLIENT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct client;

/* Constructor: maps the page. */
void process_init(void);

/* Notices that this is a new process since the last call: starts a new generation. No system call unless it is. A vfork
 * child goes unnoticed: for calls that such a child has no business making (connect, accept). */
void process_refresh(struct client *client);

/* In a child that libc forked: notices it, too, where the kernel did not wipe the page, whatever it said of that
 * (qemu-user 7.2 says that it will). */
void process_forked(struct client *client);

/* The same, and the generation. */
uint32_t process_generation_now(struct client *client);

/* The same, and false in a vfork child, whose closes must not change its parent's records. One getpid where there may
 * be such children. For close, dup and exec of a TCP descriptor. */
bool process_may_record(struct client *client);

/* A child that shares this memory may come to be: from now on process_may_record asks. */
void process_shares_memory(void);

/* Rises whenever connections that exist may have come to be held by another process too: a fork seen from either side,
 * a posix_spawn, a vfork child's exec. A connection made under an older generation may be shared. */
uint32_t process_generation(void);
void process_shared_now(void);

/* Around a fork, in the parent. What another thread makes and closes meanwhile may be in the child as well; only after
 * the fork does the generation rise. */
void process_fork_begins(void);
void process_fork_ends(void);
bool process_forking(void);

/* The generation with which this process began: older connections were inherited through fork. */
uint32_t process_first_generation(void);

/* pid as the kernel sees it in its own pid namespace; 0 before process_init. tid is cached per thread and process. */
uint32_t process_pid(void);
uint32_t process_tid(void);

/* No other thread runs. False where /proc does not say. */
bool process_single_threaded(void);

/* CLOCK_BOOTTIME, ns, of this process's birth (proc(5), /proc/PID/stat field 22, in ticks of 10 ms); 0: unknown. Opens
 * a file for a moment: only where the same pid was met before. */
uint64_t process_born_ns(void);

#endif
