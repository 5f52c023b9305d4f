#!/bin/sh
# prometheus-node-exporter 1.5.0, textfile collector. One would guess that two files with the same metric, different
# labels and HELP texts that differ by a word both show, or that node_textfile_scrape_error tells. The series of the
# second file is dropped, the page is answered with 200, and node_textfile_scrape_error stays 0; only the exporter's
# own log knows.
# Why it matters: two instances of one program, before and after an update that mended a HELP text, share a metric:
# one of them vanishes.
. "$(dirname "$0")/lib.sh"
packages prometheus-node-exporter=1.5.0-1+b6
namespace
mkdir "$root/text"
printf '# HELP app_failures Failed connects.\n# TYPE app_failures counter\napp_failures{instance="a"} 1\n' >"$root/text/a.prom"
printf '# HELP app_failures Connects that failed.\n# TYPE app_failures counter\napp_failures{instance="b"} 2\n' >"$root/text/b.prom"
"$root/usr/bin/prometheus-node-exporter" --web.listen-address=127.0.0.1:9100 --collector.disable-defaults --collector.textfile \
    --collector.textfile.directory="$root/text" >"$root/log" 2>&1 &
exporter=$!
for _ in $(seq 50); do
    bash -c 'exec 3<>/dev/tcp/127.0.0.1/9100; printf "GET /metrics HTTP/1.0\r\n\r\n" >&3;
        timeout 5 cat <&3' >"$root/page" 2>/dev/null &&
        break
    sleep 0.1
done
kill "$exporter"
expect '^HTTP/1.0 200' "$root/page"
expect '^node_textfile_scrape_error 0' "$root/page"
[ "$(grep -c '^app_failures{' "$root/page")" = 1 ] || changed "not one series of two"
expect 'has help .* but should have' "$root/log"
found
