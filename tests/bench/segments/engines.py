"""Asks ClickHouse (chdb) and DuckDB the questions of the bench: one JSON object on stdout.

    engines.py NDJSON FOLDER YEAR_FROM YEAR_END

NDJSON has name, time (microseconds since 1970), session (32 hexadecimal digits), path, user_agent, referrer, utm_source and
properties (JSON text) on each line; a pageview has the name `pageview`. The year's bounds are in microseconds.
"""

import json
import os
import statistics
import sys
import time

import chdb.session
import duckdb

SOURCE, FOLDER, YEAR_FROM, YEAR_END = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
DAY, HOUR = 86_400_000_000, 3_600_000_000
WEEK_FROM = YEAR_FROM + 140 * DAY
RUNS = 7


def questions(bucket, key):
    """Name and SQL of each question. `bucket(size)` is the start of the time's bucket, `key(name)` a property's text."""
    year = f"time >= {YEAR_FROM} AND time < {YEAR_END}"
    week = f"time >= {WEEK_FROM} AND time < {WEEK_FROM + 7 * DAY}"
    series = "SELECT {b} AS b, {what} AS n FROM events WHERE name = '{name}' AND {span} {more} GROUP BY b ORDER BY b"

    def of(name, size, what, span=year, more=""):
        return series.format(b=bucket(size), what=what, name=name, span=span, more=more)

    distinct = "count(DISTINCT session)"
    return {
        "goal_year_by_day_totals": of("purchase", DAY, "count(*)"),
        "goal_year_by_day_distinct": of("purchase", DAY, distinct),
        "pageview_year_by_day_distinct": of("pageview", DAY, distinct),
        "goal_year_by_hour_distinct": of("purchase", HOUR, distinct),
        "goal_week_by_hour_distinct": of("purchase", HOUR, distinct, week),
        "goal_where_year_by_day_distinct": of("purchase", DAY, distinct, year, f"AND {key('plan')} = 'club'"),
        "path_year_by_day_distinct": of("pageview", DAY, distinct, year, "AND path = '/checkout/done'"),
        "breakdown": f"SELECT {key('payment')} AS b, {distinct} AS n FROM events WHERE name = 'purchase' AND {year} GROUP BY b ORDER BY b",
        "names": f"SELECT name AS b, count(*) AS n FROM events WHERE {year} GROUP BY b ORDER BY b",
        "unique_by_name": f"SELECT name AS b, {distinct} AS n FROM events WHERE {year} GROUP BY b ORDER BY b",
    }


def measured(ask, asked):
    answers = {}
    for question, sql in asked.items():
        rows, took = None, []
        for _ in range(RUNS):
            begun = time.perf_counter()
            rows = ask(sql)
            took.append((time.perf_counter() - begun) * 1000)
        answers[question] = {"ms": statistics.median(took), "rows": [[str(b), int(n)] for b, n in rows]}
    return answers


def size(path):
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


def clickhouse():
    path = os.path.join(FOLDER, "clickhouse")
    session = chdb.session.Session(path)
    session.query("CREATE DATABASE bench ENGINE = Atomic")
    session.query(
        "CREATE TABLE bench.events (name LowCardinality(String), time Int64 CODEC(Delta, ZSTD), session FixedString(32), "
        "path LowCardinality(String), user_agent LowCardinality(String), referrer LowCardinality(String), "
        "utm_source LowCardinality(String), properties String CODEC(ZSTD)) ENGINE = MergeTree ORDER BY (name, time)"
    )
    begun = time.perf_counter()
    session.query(f"INSERT INTO bench.events SELECT * FROM file('{SOURCE}', JSONEachRow)")
    loaded = time.perf_counter() - begun
    session.query("OPTIMIZE TABLE bench.events FINAL")
    stored = session.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE table = 'events' AND active", "JSONCompact")
    session.query("USE bench")

    def ask(sql):
        return json.loads(session.query(sql, "JSONCompact").bytes())["data"]

    asked = questions(lambda size: f"intDiv(time, {size}) * {size}", lambda key: f"JSONExtractString(properties, '{key}')")
    return {"load_seconds": loaded, "bytes": int(json.loads(stored.bytes())["data"][0][0]), "answers": measured(ask, asked)}


def duck():
    path = os.path.join(FOLDER, "duck.db")
    connection = duckdb.connect(path)
    begun = time.perf_counter()
    connection.execute(
        "CREATE TABLE events AS SELECT name, time, session, path, user_agent, referrer, utm_source, properties FROM read_json('"
        + SOURCE
        + "', format = 'newline_delimited', columns = {name: 'VARCHAR', time: 'BIGINT', session: 'VARCHAR', path: 'VARCHAR', "
        "user_agent: 'VARCHAR', referrer: 'VARCHAR', utm_source: 'VARCHAR', properties: 'VARCHAR'}) ORDER BY name, time"
    )
    connection.execute("CHECKPOINT")
    loaded = time.perf_counter() - begun
    asked = questions(lambda size: f"(time // {size}) * {size}", lambda key: f"json_extract_string(nullif(properties, ''), '$.{key}')")
    answers = measured(lambda sql: connection.execute(sql).fetchall(), asked)
    return {"load_seconds": loaded, "bytes": size(path), "answers": answers}


print(json.dumps({"clickhouse": clickhouse(), "duckdb": duck()}))
