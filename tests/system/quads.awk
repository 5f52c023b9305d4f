# ss -Htan | awk -f quads.awk: connections by source, destination and state: established, time-wait, fin-wait, other. What has a
# port on which somebody listens was accepted, and is left out.
function split_at(text) { gsub(/\[|\]/, "", text); sub(/%[^:]*/, "", text); at = match(text, /:[^:]*$/)
    address = substr(text, 1, at - 1); sub(/^::ffff:/, "", address); port = substr(text, at + 1) }
$1 == "LISTEN" { split_at($4); listens[port] = 1; next }
{ split_at($4); if (port in listens) next; from = address; split_at($5)
  state = $1 == "ESTAB" ? 1 : $1 == "TIME-WAIT" ? 2 : $1 ~ /^FIN-WAIT/ ? 3 : 4
  to = address ~ /:/ ? "[" address "]:" port : address ":" port
  pair = from " " to; pairs[pair] = 1; count[pair, state]++ }
END { for (pair in pairs) print pair, count[pair, 1] + 0, count[pair, 2] + 0, count[pair, 3] + 0, count[pair, 4] + 0 }
