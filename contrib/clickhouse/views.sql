-- The questions of `connspread report` and `connspread stat --compare` over all hosts that were loaded. After schema.sql or schema-18.16.sql;
-- the same text for both. Restrict them by host, minute or destination in the query, as: SELECT * FROM connspread.incidents WHERE host = 'web7'.

-- What failed with EADDRNOTAVAIL: one row for each host, cause and destination, or local address where the cause is that. first and last are of the
-- failures, where there were some.
CREATE VIEW IF NOT EXISTS connspread.incidents AS
SELECT
    host, netns, event, cause, destination, source, failed, fallback, recovered, told, programs, arms,
    toDateTime(intDiv(from_us, 1000000), 'UTC') AS first,
    toDateTime(intDiv(to_us, 1000000), 'UTC') AS last,
    from_us AS first_us,
    to_us AS last_us
FROM
(
    SELECT
        host, netns, event, cause,
        if(cause IN ('family-disabled', 'address-not-local'), '', to) AS destination,
        if(cause IN ('address-not-local', 'unreachable', 'unanswered'), from_address, '') AS source,
        sumIf(calls, outcome = 'failed') AS failed,
        sumIf(calls, outcome = 'fallback') AS fallback,
        sumIf(calls, outcome NOT IN ('failed', 'fallback', '')) AS recovered,
        sum(n) AS told,
        arraySort(groupUniqArray(program)) AS programs,
        arraySort(groupUniqArray(arm)) AS arms,
        if(failed > 0, minIf(first_us, outcome = 'failed'), min(first_us)) AS from_us,
        if(failed > 0, maxIf(last_us, outcome = 'failed'), max(last_us)) AS to_us
    FROM (SELECT host, netns, event, cause, destination AS to, source AS from_address, outcome, program, arm, calls, n, first_us, last_us FROM connspread.minutes WHERE event IN ('exhausted', 'source-down'))
    GROUP BY host, netns, event, cause, destination, source
);

-- Who closed first, and so has the TIME-WAITs.
CREATE VIEW IF NOT EXISTS connspread.closed_first AS
SELECT
    host, program, direction, destination, port,
    sumIf(n, event = 'time-wait') AS time_wait,
    sumIf(n, event = 'close') AS otherwise,
    sumIf(calls, event = 'exhausted' AND outcome = 'failed') AS failed,
    sumIf(calls, event = 'exhausted' AND outcome = 'fallback') AS fallback,
    sumIf(calls, event = 'exhausted' AND outcome NOT IN ('failed', 'fallback')) AS recovered
FROM connspread.totals
WHERE event IN ('time-wait', 'close', 'exhausted')
GROUP BY host, netns, program, direction, destination, port;

-- How full each source was towards each destination: the TIME-WAITs of a minute, which all were there at its end (they last 60 s), of the
-- quadruplets there are. capacity is the smallest that an event of this host named for this destination; 28232, the kernel's default, where none did.
CREATE VIEW IF NOT EXISTS connspread.occupancy AS
SELECT minute, host, netns, source, destination, time_waits, capacity, capacity_from, 100. * time_waits / capacity AS percent
FROM
(
    SELECT
        minute, host, netns, source, destination, time_waits,
        if(known > 0, known, 28232) AS capacity,
        if(known > 0, 'event', 'assumed') AS capacity_from
    FROM
    (
        SELECT minute, host, netns, source, destination, sum(n) AS time_waits
        FROM connspread.minutes
        WHERE event = 'time-wait' AND direction = 'outbound'
        GROUP BY minute, host, netns, source, destination
    ) AS used
    ANY LEFT JOIN
    (
        SELECT host, netns, destination, toUInt32(min(capacity)) AS known
        FROM connspread.minutes
        WHERE event = 'exhausted' AND capacity > 0
        GROUP BY host, netns, destination
    ) AS told
    USING (host, netns, destination)
);

-- The canary against the control arm, for each instance over all hosts: the share of connects that saw EADDRNOTAVAIL, of these and of the
-- connections that ended (all of them with closes = "all", otherwise those that left a TIME-WAIT), and the 99 % interval of the difference
-- (Newcombe's, from two Wilson intervals). The verdict is by the rules of connspread stat --compare, which also knows other errors and the times.
CREATE VIEW IF NOT EXISTS connspread.canary AS
SELECT
    instance, canary_n, canary_failed, control_n, control_failed, canary_share, control_share, difference, low, high,
    multiIf(canary_n < 50 OR control_n < 50, 'not enough data',
            low > 0 AND difference > 0.005, 'worse',
            high < 0 AND difference < -0.005, 'better',
            low > -0.02 AND high < 0.02, 'same', 'not enough data') AS verdict
FROM
(
    SELECT
        *, p1 AS canary_share, p2 AS control_share, p1 - p2 AS difference,
        p1 - p2 - sqrt(pow(p1 - low1, 2) + pow(high2 - p2, 2)) AS low,
        p1 - p2 + sqrt(pow(high1 - p1, 2) + pow(p2 - low2, 2)) AS high
    FROM
    (
        SELECT
            instance, canary_n, canary_failed, control_n, control_failed,
            if(canary_n > 0, canary_failed / canary_n, 0) AS p1, if(control_n > 0, control_failed / control_n, 0) AS p2,
            greatest(canary_n, 1) AS n1, greatest(control_n, 1) AS n2, 6.634895 AS zz, 2.575829 AS z,
            greatest(0, (p1 + zz / (2 * n1) - z * sqrt(p1 * (1 - p1) / n1 + zz / (4 * n1 * n1))) / (1 + zz / n1)) AS low1,
            least(1, (p1 + zz / (2 * n1) + z * sqrt(p1 * (1 - p1) / n1 + zz / (4 * n1 * n1))) / (1 + zz / n1)) AS high1,
            greatest(0, (p2 + zz / (2 * n2) - z * sqrt(p2 * (1 - p2) / n2 + zz / (4 * n2 * n2))) / (1 + zz / n2)) AS low2,
            least(1, (p2 + zz / (2 * n2) + z * sqrt(p2 * (1 - p2) / n2 + zz / (4 * n2 * n2))) / (1 + zz / n2)) AS high2
        FROM
        (
            SELECT
                instance,
                sumIf(calls, arm = 'enforce' AND (event != 'exhausted' OR outcome = 'failed')) AS canary_n,
                sumIf(calls, arm = 'enforce' AND event = 'exhausted' AND outcome = 'failed') AS canary_failed,
                sumIf(calls, arm = 'control' AND (event != 'exhausted' OR outcome = 'failed')) AS control_n,
                sumIf(calls, arm = 'control' AND event = 'exhausted' AND outcome = 'failed') AS control_failed
            FROM connspread.totals
            WHERE event IN ('time-wait', 'close', 'exhausted') AND direction = 'outbound' AND rule != ''
            GROUP BY instance
        )
    )
);

-- For each program and destination, the hosts of which more connects saw EADDRNOTAVAIL than of all others together: by the same interval,
-- and by more than half a percentage point.
CREATE VIEW IF NOT EXISTS connspread.hosts_that_differ AS
SELECT host, program, destination, n, failed, share, rest_n, rest_failed, rest_share, difference, low, high
FROM
(
    SELECT
        host, program, destination, n, failed, rest_n, rest_failed, p1 AS share, p2 AS rest_share, p1 - p2 AS difference,
        p1 - p2 - sqrt(pow(p1 - low1, 2) + pow(high2 - p2, 2)) AS low,
        p1 - p2 + sqrt(pow(high1 - p1, 2) + pow(p2 - low2, 2)) AS high
    FROM
    (
        SELECT
            host, program, destination, n, failed, rest_n, rest_failed,
            failed / n AS p1, if(rest_n > 0, rest_failed / rest_n, 0) AS p2, n AS n1, greatest(rest_n, 1) AS n2, 6.634895 AS zz, 2.575829 AS z,
            greatest(0, (p1 + zz / (2 * n1) - z * sqrt(p1 * (1 - p1) / n1 + zz / (4 * n1 * n1))) / (1 + zz / n1)) AS low1,
            least(1, (p1 + zz / (2 * n1) + z * sqrt(p1 * (1 - p1) / n1 + zz / (4 * n1 * n1))) / (1 + zz / n1)) AS high1,
            greatest(0, (p2 + zz / (2 * n2) - z * sqrt(p2 * (1 - p2) / n2 + zz / (4 * n2 * n2))) / (1 + zz / n2)) AS low2,
            least(1, (p2 + zz / (2 * n2) + z * sqrt(p2 * (1 - p2) / n2 + zz / (4 * n2 * n2))) / (1 + zz / n2)) AS high2
        FROM
        (
            SELECT host, program, destination, n, failed, all_n - n AS rest_n, all_failed - failed AS rest_failed
            FROM
            (
                SELECT host, program, destination,
                       sumIf(calls, event != 'exhausted' OR outcome = 'failed') AS n, sumIf(calls, event = 'exhausted' AND outcome = 'failed') AS failed
                FROM connspread.totals
                WHERE event IN ('time-wait', 'close', 'exhausted') AND direction = 'outbound'
                GROUP BY host, program, destination
            ) AS one
            ANY LEFT JOIN
            (
                SELECT program, destination,
                       sumIf(calls, event != 'exhausted' OR outcome = 'failed') AS all_n, sumIf(calls, event = 'exhausted' AND outcome = 'failed') AS all_failed
                FROM connspread.totals
                WHERE event IN ('time-wait', 'close', 'exhausted') AND direction = 'outbound'
                GROUP BY program, destination
            ) AS every
            USING (program, destination)
            WHERE n > 0
        )
    )
)
WHERE low > 0 AND difference > 0.005 AND rest_n > 0;
