/* cancel.h - pthread_cancel and close(), which is a cancellation point.
 *
 * A cancellation that is pending when a thread calls close() unwinds it before the kernel is called: the descriptor is
 * still open, and the close that comes then must find its record. So it is let act first, before anything is claimed;
 * one that comes later waits until the close is over and told, as if it had come then. Async-signal-safe (what pthreads
 * does here is a word of the thread's own); errno untouched. */
#ifndef CONNSPREAD_SHIM_CANCEL_H
#define CONNSPREAD_SHIM_CANCEL_H

/* From the constructor: finds the two functions, which an older libc has only where threads are used. */
void cancel_resolve(void);

/* Acts on a cancellation that is pending, then keeps others off. Returns what cancel_allow gives back. */
int cancel_hold(void);
void cancel_allow(int before);

#endif
