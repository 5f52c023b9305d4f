# Sourced by bare.sh and musl.sh: what the kernel has of the connections to port $1 of this network namespace, as "2x127.0.0.2 2x127.0.0.3": TIME-WAITs
# by source, once none is between two states.
per_source() {
    local between=(state fin-wait-1 state fin-wait-2 state closing state close-wait state last-ack state syn-recv)
    for _ in $(seq 1500); do
        [ -n "$(ss -Htan "${between[@]}" "dport = $1 or sport = $1")" ] || break
        sleep 0.01
    done
    ss -Htan state time-wait "dport = $1" | awk '{print $3}' | cut -d: -f1 | sort | uniq -c | awk '{print $1 "x" $2}' | paste -sd ' '
}
export -f per_source
