#!/bin/sh
# rinetd 0.73, `logcommon` (the log format of web servers). One would guess that a connection which could not be forwarded has
# an error's status in the log. It has 200, as one that went well has; only the "path" tells, by its end: local-connect-failed.
# Why it matters: what reads such logs counts an outage as a run of successes.
. "$(dirname "$0")/lib.sh"
packages rinetd=0.73-1
namespace
hold 8080
cat >"$root/conf" <<END
127.0.0.1 9001 one.test 8080
127.0.0.1 9002 both.test 8080
127.0.0.1 9003 127.0.0.2 8080
logfile $root/log
logcommon
END
"$root/usr/sbin/rinetd" -f -c "$root/conf" >"$root/out" 2>&1 &
ask() { # PORT
    bash -c "exec 3<>/dev/tcp/127.0.0.1/$1; printf 'GET / HTTP/1.0\r\n\r\n' >&3; timeout 5 cat <&3" >"$root/answer" 2>/dev/null
}
logged() { # TEXT
    for _ in $(seq 50); do
        ! grep -Eq "$1" "$root/log" 2>/dev/null || return 0
        sleep 0.1
    done
    expect "$1" "$root/log"
}
for _ in $(seq 50); do
    ! ask 9003 || break
    sleep 0.1
done
expect '^ok' "$root/answer"
logged '/9003/127.0.0.2/8080/done-[a-z-]+ .*HTTP/1.0" 200 '
for way in 9001/one.test 9002/both.test; do
    ask "${way%/*}" || :
    logged "/$way/8080/local-connect-failed .*HTTP/1.0\" 200 0 "
done
found
