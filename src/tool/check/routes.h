/* routes.h - sources whose packets leave by another uplink than the one that has the address: answers come back
 * elsewhere, or the next router drops what it did not give out. Two uplinks need a rule for each source (ip rule add
 * from
 * ...). */
#ifndef CONNSPREAD_TOOL_CHECK_ROUTES_H
#define CONNSPREAD_TOOL_CHECK_ROUTES_H

#include "tool/check/model.h"

/* Warns of the ways that packets take from the pool's addresses. */
void warn_of_routes(const struct policy *p, const struct policy_pool *pool, struct warnings *out);

#endif
