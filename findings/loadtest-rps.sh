#!/bin/sh
# loadtest 8.2.1 (npm). One would guess that a load test whose requests all fail reports no throughput, and fails.
# Each request that could not even get a source port counts as completed and goes into "Effective rps" and "Mean
# latency"; the exit status is 0.
# Why it matters: a connect without a port fails before a packet is sent, so the figures say nothing about the server.
. "$(dirname "$0")/lib.sh"
npm_packages loadtest@8.2.1
namespace
hold 8080
run out node "$root/node_modules/loadtest/bin/loadtest.js" -n 30 -c 1 http://one.test:8080/
status 0 "$rc" loadtest
expect 'Completed requests: +30$' "$root/out"
expect 'Total errors: +30$' "$root/out"
expect 'Effective rps: +[1-9][0-9]*$' "$root/out"
absent served "$root/held"
found
