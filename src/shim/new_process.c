#include "shim/new_process.h"

#include "client/arm.h"
#include "client/client.h"
#include "client/fdtab.h"
#include "client/open_table.h"
#include "close/deferred.h"

void new_process(struct client *client) {
    if (!client_active(client))
        return;
    __atomic_store_n(&client->attached, 0, __ATOMIC_RELAXED);
    arm_forget();
    fd_forget_closing();
    deferred_forget();
    open_table_inherit(client);
}
