#!/bin/sh
# got 14.6.6, superagent 10.4.2, undici 6.29.1 (RetryAgent), requestretry 8.0.0 (npm), each told to try again twice. One would
# guess that a connect that finds no source port is tried again, as one that is refused is, and as axios-retry 4.5.0 and
# retry-axios 4.0.3 do: nothing left the host, and a port is free a moment later. They try once, and report EADDRNOTAVAIL. The lists
# of got and superagent have EADDRINUSE, for a lack of free ports as got's manual has it. That is what bind() says; what
# connect() says is in none of the four lists.
# Why it matters: retries that were set up, and tried with a server that is down, do nothing in a shortage of ports.
. "$(dirname "$0")/lib.sh"
npm_packages got@14.6.6 superagent@10.4.2 undici@6.29.1 requestretry@8.0.0 axios@1.21.1 axios-retry@4.5.0 retry-axios@4.0.3
namespace
hold 8080
cat >"$root/retry.mjs" <<'END'
import net from "node:net";
import axios from "axios";
import axiosRetry from "axios-retry";
import got from "got";
import requestretry from "requestretry";
import * as retryAxios from "retry-axios";
import superagent from "superagent";
import { Agent, RetryAgent, request } from "undici";
let connects = 0;
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...options) {
    connects++;
    return connect.apply(this, options);
};
const first = axios.create();
axiosRetry(first, { retries: 2 });
const second = axios.create();
second.defaults.raxConfig = { retry: 2, noResponseRetries: 2, retryDelay: 10 };
retryAxios.attach(second);
const dispatcher = new RetryAgent(new Agent(), { maxRetries: 2, minTimeout: 10 });
const clients = {
    "got": (url) => got(url, { retry: { limit: 2, backoffLimit: 10 } }),
    "superagent": (url) => superagent.get(url).retry(2),
    "undici": (url) => request(url, { dispatcher }),
    "requestretry": (url) => requestretry({ url, maxAttempts: 3, retryDelay: 10 }),
    "axios-retry": (url) => first.get(url),
    "retry-axios": (url) => second.get(url),
};
for (const [name, ask] of Object.entries(clients)) {
    for (const port of [9, 8080]) {
        connects = 0;
        let answer = "an answer";
        await ask(`http://127.0.0.1:${port}/`).catch((error) => { answer = error.code; });
        console.log(`${name}: ${connects} connects, ${answer}`);
    }
}
END
run out node "$root/retry.mjs"
status 0 "$rc" retry.mjs
for name in got superagent undici requestretry axios-retry retry-axios; do
    expect "^$name: 3 connects, ECONNREFUSED\$" "$root/out"
done
for name in got superagent undici requestretry; do
    expect "^$name: 1 connects, EADDRNOTAVAIL\$" "$root/out"
done
for name in axios-retry retry-axios; do
    expect "^$name: 3 connects, EADDRNOTAVAIL\$" "$root/out"
done
absent served "$root/held"
found
