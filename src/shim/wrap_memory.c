/* The client locks its memory. What we have mapped, the state file above all, is none of it, but the kernel counts it:
 * with an RLIMIT_MEMLOCK of 8 MiB, the default, mlockall would fail by us alone. */
#include <sys/mman.h>

#include "client/arm.h"
#include "shim/self.h"
#include "client/process.h"
#include "shim/real.h"
#include "base/sys.h"
#include "state/segment.h"
#include "client/events.h"

/* Goes without the state file, and so without everything, for good. Only where no other thread can be in the midst of
 * using it: no other thread, and no parent of a vfork child. (A handler that interrupted a wrapper of ours cannot be
 * seen; mlockall is not on POSIX's list of what a handler may call.) */
static bool leave(void) {
    if (!process_may_record(&client) || !process_single_threaded())
        return false;
    if (__atomic_exchange_n(&client.attached, 0, __ATOMIC_RELAXED))
        (void)event_of_text(&client, EVENT_DETACH, arm_of_process(&client),
                            "mlockall: the state file exceeds RLIMIT_MEMLOCK");
    __atomic_store_n(&client.active, false, __ATOMIC_RELEASE);
    state_unmap(&client.state);
    return true;
}

EXPORT int mlockall(int flags) {
    int r = real_mlockall(flags);
    if (!client_active(&client))
        return r;
    int saved = errno;
    if (r == 0 && flags & MCL_CURRENT) {
        (void)sys_call2(SYS_munlock, client.state.header, client.state.size);
        segments_unlock(client.state.segments);
    } else if (r != 0 && saved == ENOMEM && leave()) {
        r = real_mlockall(flags);
        saved = errno;
    }
    errno = saved;
    return r;
}
