/* cancel.h - pthread_cancel in close() and connect(), which are cancellation points.
 *
 * A cancellation that is pending when a thread calls close() unwinds it before the kernel is called: the descriptor is
 * still open, and the close that comes then must find its record. So it is let act first, before anything is claimed;
 * one that comes later waits until the close is over and told, as if it had come then. Async-signal-safe (what pthreads
 * does here is a word of the thread's own); errno untouched. */
#ifndef CONNSPREAD_SHIM_CANCEL_H
#define CONNSPREAD_SHIM_CANCEL_H

/* From the constructor: finds the functions, which an older libc has only where threads are used. */
void cancel_resolve(void);

/* Acts on a cancellation that is pending, then keeps others off. Returns what cancel_allow gives back. */
int cancel_hold(void);
void cancel_allow(int before);

/* What is to be undone should the thread be cancelled in a connect, or leave it by a jump out of a signal handler: a
 * cleanup handler of glibc's, on the thread's own list. Each push has its pop, in the same function. musl's would stay
 * on the list after a jump, so it gets none. */
struct cancel_guard {
    void *words[4]; /* struct _pthread_cleanup_buffer */
};
typedef void cancel_undo(void *context);
void cancel_push(struct cancel_guard *guard, cancel_undo *undo, void *context);
void cancel_pop(struct cancel_guard *guard);

#endif
