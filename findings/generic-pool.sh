#!/bin/sh
# generic-pool 3.9.0 (npm); beside it tarn 3.0.2. One would guess that acquire() fails with the error of a connect that failed,
# or that the pool waits before it connects again, as tarn does. It connects again at once, for as long as a request waits:
# one acquire() is thousands of connects in a second. It ends by acquireTimeoutMillis, which is not set by default, and says
# that it timed out, where tarn says ECONNREFUSED. The reason is in the event factoryCreateError alone.
# Why it matters: one request while a server is down keeps a processor busy and fills the logs; its error looks like a pool that is
# too small. A factory that waits before it passes on an error helps.
. "$(dirname "$0")/lib.sh"
npm_packages generic-pool@3.9.0 tarn@3.0.2
namespace
cat >"$root/pools.js" <<'END'
const net = require("net");
let connects = 0;
const connect = () => new Promise((done, fail) => {
    connects++;
    const socket = net.connect(9, "127.0.0.1", () => done(socket)).on("error", fail);
});
const destroy = async (socket) => { socket.destroy(); };
const factory = { create: connect, destroy };
const generic = require("generic-pool").createPool(factory, { max: 4, acquireTimeoutMillis: 1000 });
const reasons = new Set();
generic.on("factoryCreateError", (error) => { reasons.add(error.code); });
const tarn = new (require("tarn").Pool)({ ...factory, min: 0, max: 4, acquireTimeoutMillis: 1000, propagateCreateError: false });
const ask = async (name, pool) => {
    connects = 0;
    const error = await Promise.resolve(pool()).catch((error) => error);
    console.log(`${name}: ${connects} connects, ${error.name}: ${error.message}`);
};
ask("generic-pool", () => generic.acquire()).then(() => ask("tarn", () => tarn.acquire().promise)).then(() => {
    console.log("reasons:", ...reasons);
    process.exit();
});
END
run out node "$root/pools.js"
status 0 "$rc" pools.js
expect '^generic-pool: [0-9]{4,} connects, TimeoutError: ResourceRequest timed out$' "$root/out"
expect '^tarn: ([3-9]|1[0-9]) connects, Error: connect ECONNREFUSED 127.0.0.1:9$' "$root/out"
expect '^reasons: ECONNREFUSED$' "$root/out"
found
