-- connspread's events in ClickHouse, for version 18.16, the oldest that may be met; schema.sql is for current ones. Then views.sql.
-- What that version lacks: fractions of a second (time stays text, time_us has them), objects in JSON (sources, asked and recent stay in the file: load
-- with input_format_skip_unknown_fields), sets as bitmaps (uniqExact instead), DEFAULT for what a line of JSON leaves out (MATERIALIZED instead),
-- LowCardinality without a setting in every session (plain text instead). It wraps numbers that are too large for their column in silence: each is
-- as wide as the event's.
CREATE DATABASE IF NOT EXISTS connspread;

-- One row an event, with the members that connspread(1) names under EVENTS. (epoch, seq) is in the key, so that a row that is loaded again
-- takes the place of the first. The order answers "what happened to this destination".
CREATE TABLE IF NOT EXISTS connspread.events
(
    time String,
    epoch String,
    seq UInt64,
    event String,
    host String,
    netns UInt64,
    instance String,
    arm String,
    pid UInt32,
    tid UInt32,
    program String,
    direction String,
    local_address String,
    local_port UInt16,
    peer_address String,
    peer_port UInt16,
    rule String,
    pool String,
    age_us UInt64,
    closed_at String,
    closed_seq UInt64,
    reason String,
    via String,
    state String,
    fate String,
    decided_by String,
    decided_at String,
    verified Nullable(UInt8),
    asked_address String,
    asked_port UInt16,
    call String,
    cause String,
    outcome String,
    decision String,
    attempts UInt32,
    elapsed_us UInt64,
    repeats UInt32,
    sources_omitted UInt32,
    proof String,
    occupied_by String,
    capacity UInt32,
    reserved_ports UInt32,
    bound_ports Nullable(UInt32),
    error String,
    text String,
    time_us UInt64 MATERIALIZED toUInt64(toUnixTimestamp(parseDateTimeBestEffort(time))) * 1000000 + toUInt32(substring(time, 21, 6)),
    minute DateTime('UTC') MATERIALIZED toStartOfMinute(parseDateTimeBestEffort(time), 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (peer_address, peer_port, time_us, epoch, seq);

-- Per minute, destination, source, program and arm. What is kept is the set of event numbers, not their count: loading again adds nothing.
CREATE TABLE IF NOT EXISTS connspread.minutes_state
(
    minute DateTime('UTC'),
    event String,
    host String,
    netns UInt64,
    instance String,
    arm String,
    program String,
    direction String,
    peer String, -- of accepted connections: empty
    port UInt16,                 -- of accepted connections: the local one
    source String,
    rule String,
    fate String,
    call String,
    cause String,
    outcome String,
    repeats UInt32,
    epoch String,
    seqs AggregateFunction(uniqExact, UInt64),
    first_us AggregateFunction(min, UInt64),
    last_us AggregateFunction(max, UInt64),
    capacity AggregateFunction(max, UInt32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (event, peer, port, minute, host, netns, instance, arm, program, direction, source, rule, fate, call, cause, outcome, repeats, epoch);

CREATE MATERIALIZED VIEW IF NOT EXISTS connspread.to_minutes TO connspread.minutes_state AS
SELECT
    minute, event, host, netns, instance, arm, program, direction,
    if(direction = 'inbound', '', peer_address) AS peer,
    if(direction = 'inbound', local_port, peer_port) AS port,
    local_address AS source,
    rule, fate, call, cause, outcome, repeats, epoch,
    uniqExactState(seq) AS seqs,
    minState(time_us) AS first_us,
    maxState(time_us) AS last_us,
    maxState(capacity) AS capacity
FROM connspread.events
GROUP BY minute, event, host, netns, instance, arm, program, direction, peer, port, source, rule, fate, call, cause, outcome, repeats, epoch;

-- The same as numbers: n events, which stand for `calls` calls.
CREATE VIEW IF NOT EXISTS connspread.minutes AS
SELECT
    minute, event, host, netns, instance, arm, program, direction, peer, port, source, rule, fate, call, cause, outcome,
    if(peer = '', '', concat(if(position(peer, ':') > 0, concat('[', peer, ']'), peer), ':', toString(port))) AS destination,
    uniqExactMerge(seqs) AS n,
    n * (1 + repeats) AS calls,
    minMerge(first_us) AS first_us,
    maxMerge(last_us) AS last_us,
    maxMerge(capacity) AS capacity
FROM connspread.minutes_state
GROUP BY minute, event, host, netns, instance, arm, program, direction, peer, port, source, rule, fate, call, cause, outcome, repeats, epoch;

-- The same without minute, source and cause, for questions about all of the time. (A view of what a view writes is not told of it by this version.)
-- The month is that of the partitions, so that a month that is dropped is dropped everywhere.
CREATE TABLE IF NOT EXISTS connspread.totals_state
(
    month UInt32,
    event String,
    host String,
    netns UInt64,
    instance String,
    arm String,
    program String,
    direction String,
    peer String,
    port UInt16,
    rule String,
    outcome String,
    repeats UInt32,
    epoch String,
    seqs AggregateFunction(uniqExact, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY month
ORDER BY (event, peer, port, host, netns, instance, arm, program, direction, rule, outcome, repeats, epoch, month);

CREATE MATERIALIZED VIEW IF NOT EXISTS connspread.to_totals TO connspread.totals_state AS
SELECT
    toYYYYMM(minute) AS month, event, host, netns, instance, arm, program, direction,
    if(direction = 'inbound', '', peer_address) AS peer,
    if(direction = 'inbound', local_port, peer_port) AS port,
    rule, outcome, repeats, epoch,
    uniqExactState(seq) AS seqs
FROM connspread.events
GROUP BY month, event, host, netns, instance, arm, program, direction, peer, port, rule, outcome, repeats, epoch;

CREATE VIEW IF NOT EXISTS connspread.totals AS
SELECT
    event, host, netns, instance, arm, program, direction, peer, port, rule, outcome,
    if(peer = '', '', concat(if(position(peer, ':') > 0, concat('[', peer, ']'), peer), ':', toString(port))) AS destination,
    uniqExactMerge(seqs) AS n,
    n * (1 + repeats) AS calls
FROM connspread.totals_state
GROUP BY month, event, host, netns, instance, arm, program, direction, peer, port, rule, outcome, repeats, epoch;

-- Each event once, also while two loads of it lie in parts that are not merged yet.
CREATE VIEW IF NOT EXISTS connspread.events_once AS SELECT *, time_us, minute FROM connspread.events FINAL;
