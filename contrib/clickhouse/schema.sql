-- connspread's events in ClickHouse, for current versions; schema-18.16.sql is for the oldest that may be met. Then views.sql.
CREATE DATABASE IF NOT EXISTS connspread;

-- One row an event, with the members that connspread(1) names under EVENTS. (epoch, seq) is in the key, so that a row that is loaded again
-- takes the place of the first. The order answers "what happened to this destination".
CREATE TABLE IF NOT EXISTS connspread.events
(
    time DateTime64(6, 'UTC'),
    epoch LowCardinality(String),
    seq UInt64,
    event LowCardinality(String),
    host LowCardinality(String),
    netns UInt64,
    instance LowCardinality(String),
    arm LowCardinality(String),
    pid UInt32,
    tid UInt32,
    program LowCardinality(String),
    direction LowCardinality(String),
    local_address LowCardinality(String),
    local_port UInt16,
    peer_address LowCardinality(String),
    peer_port UInt16,
    rule LowCardinality(String),
    pool LowCardinality(String),
    age_us UInt64,
    closed_at DateTime64(6, 'UTC'),
    closed_seq UInt64,
    reason LowCardinality(String),
    via LowCardinality(String),
    state LowCardinality(String),
    fate LowCardinality(String),
    decided_by LowCardinality(String),
    decided_at DateTime64(6, 'UTC'),
    verified Nullable(Bool),
    asked_address LowCardinality(String),
    asked_port UInt16,
    call LowCardinality(String),
    cause LowCardinality(String),
    outcome LowCardinality(String),
    decision LowCardinality(String),
    attempts UInt32,
    elapsed_us UInt64,
    repeats UInt32,
    sources String, -- JSON, as it came: JSONExtractArrayRaw(sources)
    asked String,
    sources_omitted UInt32,
    proof LowCardinality(String),
    occupied_by LowCardinality(String),
    capacity UInt32,
    reserved_ports UInt32,
    bound_ports Nullable(UInt32),
    recent String,
    error LowCardinality(String),
    text String,
    time_us UInt64 DEFAULT toUInt64(toUnixTimestamp64Micro(time)),
    minute DateTime('UTC') DEFAULT toStartOfMinute(toDateTime(time, 'UTC'))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (peer_address, peer_port, time_us, epoch, seq);

-- Per minute, destination, source, program and arm. What is kept is the set of event numbers, not their count: loading again adds nothing.
CREATE TABLE IF NOT EXISTS connspread.minutes_state
(
    minute DateTime('UTC'),
    event LowCardinality(String),
    host LowCardinality(String),
    netns UInt64,
    instance LowCardinality(String),
    arm LowCardinality(String),
    program LowCardinality(String),
    direction LowCardinality(String),
    peer LowCardinality(String), -- of accepted connections: empty
    port UInt16,                 -- of accepted connections: the local one
    source LowCardinality(String),
    rule LowCardinality(String),
    fate LowCardinality(String),
    call LowCardinality(String),
    cause LowCardinality(String),
    outcome LowCardinality(String),
    repeats UInt32,
    epoch LowCardinality(String),
    seqs AggregateFunction(groupBitmap, UInt64),
    first_us SimpleAggregateFunction(min, UInt64),
    last_us SimpleAggregateFunction(max, UInt64),
    capacity SimpleAggregateFunction(max, UInt32)
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
    groupBitmapState(seq) AS seqs,
    min(time_us) AS first_us,
    max(time_us) AS last_us,
    max(events.capacity) AS capacity
FROM connspread.events
GROUP BY minute, event, host, netns, instance, arm, program, direction, peer, port, source, rule, fate, call, cause, outcome, repeats, epoch;

-- The same as numbers: n events, which stand for `calls` calls.
CREATE VIEW IF NOT EXISTS connspread.minutes AS
SELECT
    minute, event, host, netns, instance, arm, program, direction, peer, port, source, rule, fate, call, cause, outcome,
    if(peer = '', '', concat(if(position(peer, ':') > 0, concat('[', peer, ']'), peer), ':', toString(port))) AS destination,
    groupBitmapMerge(seqs) AS n,
    n * (1 + repeats) AS calls,
    min(minutes_state.first_us) AS first_us,
    max(minutes_state.last_us) AS last_us,
    max(minutes_state.capacity) AS capacity
FROM connspread.minutes_state
GROUP BY minute, event, host, netns, instance, arm, program, direction, peer, port, source, rule, fate, call, cause, outcome, repeats, epoch;

-- The same without minute, source and cause, for questions about all of the time: made of what goes into the minutes, a fraction of the events.
-- The month is that of the partitions, so that a month that is dropped is dropped everywhere.
CREATE TABLE IF NOT EXISTS connspread.totals_state
(
    month UInt32,
    event LowCardinality(String),
    host LowCardinality(String),
    netns UInt64,
    instance LowCardinality(String),
    arm LowCardinality(String),
    program LowCardinality(String),
    direction LowCardinality(String),
    peer LowCardinality(String),
    port UInt16,
    rule LowCardinality(String),
    outcome LowCardinality(String),
    repeats UInt32,
    epoch LowCardinality(String),
    seqs AggregateFunction(groupBitmap, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY month
ORDER BY (event, peer, port, host, netns, instance, arm, program, direction, rule, outcome, repeats, epoch, month);

CREATE MATERIALIZED VIEW IF NOT EXISTS connspread.to_totals TO connspread.totals_state AS
SELECT
    toYYYYMM(minute) AS month, event, host, netns, instance, arm, program, direction, peer, port, rule, outcome, repeats, epoch,
    groupBitmapMergeState(minutes_state.seqs) AS seqs
FROM connspread.minutes_state
GROUP BY month, event, host, netns, instance, arm, program, direction, peer, port, rule, outcome, repeats, epoch;

CREATE VIEW IF NOT EXISTS connspread.totals AS
SELECT
    event, host, netns, instance, arm, program, direction, peer, port, rule, outcome,
    if(peer = '', '', concat(if(position(peer, ':') > 0, concat('[', peer, ']'), peer), ':', toString(port))) AS destination,
    groupBitmapMerge(seqs) AS n,
    n * (1 + repeats) AS calls
FROM connspread.totals_state
GROUP BY month, event, host, netns, instance, arm, program, direction, peer, port, rule, outcome, repeats, epoch;

-- Each event once, also while two loads of it lie in parts that are not merged yet.
CREATE VIEW IF NOT EXISTS connspread.events_once AS SELECT * FROM connspread.events FINAL;
