"""Predicates in BigQuery's SQL on DuckDB: carried with the result that BigQuery documents, or refused.

Each stands with the number of the four rows below that hold it, worked out by BigQuery's documentation.
"""

from collections.abc import Iterator

import duckdb
import pytest

from backfilld.daemon.warehouses.adapter import QueryError
from backfilld.daemon.warehouses.lake.bigquery_transpiler.queries import to_duckdb

ROWS = """
SELECT * FROM (VALUES
  (1, 'abc', 5, 2, 1.0::DOUBLE, TIMESTAMPTZ '2024-03-01 07:59:00Z', TIMESTAMPTZ '2024-03-01 08:01:00Z',
   DATE '2024-03-02', [1, 2], {'v': 1, 's': 'x'}, [{'sc': 1}], TRUE),
  (2, '12', 4, 0, 'nan'::DOUBLE, TIMESTAMPTZ '2024-03-01 04:00:00Z', TIMESTAMPTZ '2024-03-01 06:30:00Z',
   DATE '2024-03-03', [], {'v': NULL, 's': ''}, [{'sc': NULL}], FALSE),
  (3, '', 0, 3, 0.0::DOUBLE, TIMESTAMPTZ '2024-03-01 12:00:00Z', TIMESTAMPTZ '2024-03-01 12:59:00Z',
   DATE '2024-03-04', NULL, NULL, [], NULL),
  (4, 'n/a', -7, 2, 2.5::DOUBLE, TIMESTAMPTZ '2024-03-02 03:00:00Z', TIMESTAMPTZ '2024-03-02 05:00:00Z',
   DATE '2024-03-08', [3], {'v': 3, 's': 'z'}, NULL, TRUE)
) AS t (id, s, a, b, f, ts, ts2, d, arr, st, items, bo)
"""

NULLS_AND_NAN = {
    "f >= 0": 3,
    "f < 0": 0,
    "f = f": 3,
    "f <> f": 1,
    "f != 1": 3,
    "NOT f >= 0": 1,
    "NOT (f > 1)": 3,
    "0 <= f": 3,
    "f >= 0 OR f < 0": 3,
    "f BETWEEN 0 AND 100": 3,
    "f NOT BETWEEN 0 AND 100": 1,
    "f IN (0, 1, 2.5)": 3,
    "f NOT IN (0, 1)": 2,
    "IS_NAN(f)": 1,
    "NOT IS_NAN(f)": 3,
    "NOT IS_NAN(NULLIF(f, 1))": 2,
    "f IS NULL": 0,
    "-f <= 0": 3,
    "f + 1 > 0": 3,
    "ABS(f) >= 0": 3,
    "COALESCE(f, 0) >= 0": 3,
    "IF(f > 1, TRUE, FALSE)": 1,
    "IF(a > 0, b = 2, TRUE)": 3,
    "IF(bo, a > 0, b = 3)": 2,
    "CASE WHEN f > 1 THEN 'big' WHEN f <= 1 THEN 'small' ELSE 'none' END = 'none'": 1,
    "CASE f WHEN 1 THEN TRUE END": 1,
    "NULLIF(f, 0) IS NULL": 1,
    "bo IS NOT FALSE": 3,
    "bo IS TRUE": 2,
    "NOT bo": 1,
    "bo OR a = 0": 3,
    "bo AND NULL": 0,
    "NOT (bo AND a > 0)": 3,
    "bo = TRUE": 2,
    "NULL = NULL": 0,
    "NULL IS NULL": 4,
    "a <> NULL": 0,
    "a NOT IN (5, NULL)": 0,
    "a IN (5, NULL)": 1,
    "GREATEST(a, b) = 5": 1,
    "GREATEST(a, NULL) IS NULL": 4,
    "GREATEST(f, 0) >= 0": 3,
    "IFNULL(NULLIF(b, 0), -1) = -1": 1,
}
NUMBERS = {
    "a + b = 7": 1,
    "a * b > 9": 1,
    "a - b < 0": 2,
    "a BETWEEN -10 AND 10": 4,
    "0.1 + 0.2 = 0.3": 0,
    "0.1 + 0.2 > 0.3": 4,
    "1e2 = 100": 4,
    "SAFE_DIVIDE(a, b) >= 2": 1,
    "SAFE_DIVIDE(a, b) IS NULL": 1,
    "SAFE_DIVIDE(a, b) = -3.5": 1,
    "SAFE_DIVIDE(f, 2) > 1": 1,
    "DIV(a, 2) = -3": 1,
    "DIV(a, 2) = 2": 2,
    "MOD(a, 2) = -1": 1,
    "MOD(a, 2) = 1": 1,
    "ABS(a) = 7": 1,
    "ROUND(2.5) = 3": 4,
    "ROUND(-2.5) = -3": 4,
    "ROUND(f) = 3": 1,
    "id = 3 OR a = 5": 2,
}
TEXTS = {
    "s IN ('abc', \"12\")": 2,
    "s = 'abc'": 1,
    "s < 'b'": 3,
    "s <> ''": 3,
    "s LIKE 'a%'": 1,
    "s NOT LIKE '%a%'": 2,
    "s LIKE '_'": 0,
    "LOWER('ABC') = s": 1,
    "LOWER(s) = 'abc'": 1,
    "UPPER(s) = 'ABC'": 1,
    "CHAR_LENGTH(s) = 3": 2,
    "LENGTH(s) = 0": 1,
    "STARTS_WITH(s, 'a')": 1,
    "ENDS_WITH(s, 'c')": 1,
    "INSTR(s, 'b') = 2": 1,
    "STRPOS(s, 'z') = 0": 4,
    "SUBSTR(s, 2) = 'bc'": 1,
    "SUBSTR(s, 1, 1) = 'n'": 1,
    "CONCAT(s, '!') = '!'": 1,
    "CONCAT(s, NULL) IS NULL": 4,
    "s || '-' = '12-'": 1,
    's = "it\'s"': 0,
    "REGEXP_CONTAINS(s, r'^[a-z]+$')": 1,
    "REGEXP_CONTAINS(s, 'b')": 1,
    "REGEXP_CONTAINS(s, r'\\d')": 1,
    "REGEXP_EXTRACT(s, r'(\\d+)') IS NOT NULL": 1,
    "REGEXP_EXTRACT(s, r'^.') = 'a'": 1,
    "REGEXP_EXTRACT(s, r'z') IS NULL": 4,
    "SPLIT(s, '/')[SAFE_OFFSET(1)] = 'a'": 1,
    "SPLIT(s, '/')[SAFE_OFFSET(0)] = ''": 1,
    "SPLIT(s, '/')[SAFE_OFFSET(5)] IS NULL": 4,
}
TIMES = {
    "d >= '2024-03-03'": 3,
    "d = DATE '2024-03-02'": 1,
    "EXTRACT(DAYOFWEEK FROM d) = 1": 1,
    "EXTRACT(DAYOFWEEK FROM d) IN (1, 7)": 2,
    "EXTRACT(ISOWEEK FROM d) = 9": 2,
    "EXTRACT(MONTH FROM d) = 3": 4,
    "EXTRACT(QUARTER FROM d) = 1": 4,
    "EXTRACT(DAYOFYEAR FROM d) = 62": 1,
    "EXTRACT(DATE FROM ts) = DATE '2024-03-01'": 3,
    "EXTRACT(HOUR FROM ts) = 12": 1,
    "EXTRACT(HOUR FROM ts AT TIME ZONE 'America/New_York') < 5": 1,
    "EXTRACT(DAY FROM ts AT TIME ZONE 'Asia/Tokyo') = 2": 1,
    "DATE(ts) = DATE '2024-03-01'": 3,
    "DATE(ts, 'America/New_York') = DATE '2024-03-01'": 3,
    "DATE(ts, 'America/Los_Angeles') = '2024-03-01'": 2,
    "DATE_DIFF(d, DATE '2024-03-01', DAY) = 2": 1,
    "DATE_DIFF(d, DATE '2024-03-01', WEEK) = 1": 3,
    "DATE_DIFF(d, DATE '2024-03-01', ISOWEEK) = 1": 2,
    "DATE_DIFF(d, DATE '2024-03-01', WEEK(MONDAY)) = 1": 2,
    "DATE_DIFF(DATE '2024-02-29', DATE '2024-01-31', MONTH) = 1": 4,
    "DATE_DIFF(DATE '2024-01-01', DATE '2023-12-31', YEAR) = 1": 4,
    "DATE_DIFF(DATE '2023-12-31', DATE '2024-01-01', QUARTER) = -1": 4,
    "DATE_TRUNC(d, WEEK) = DATE '2024-03-03'": 3,
    "DATE_TRUNC(d, ISOWEEK) = DATE '2024-03-04'": 2,
    "DATE_TRUNC(d, MONTH) = DATE '2024-03-01'": 4,
    "DATE_ADD(d, INTERVAL 1 DAY) = DATE '2024-03-03'": 1,
    "DATE_SUB(DATE '2024-03-31', INTERVAL 1 MONTH) = DATE '2024-02-29'": 4,
    "DATE '2024-03-01' + 1 = d": 1,
    "1 + DATE '2024-03-01' = d": 1,
    "DATE '2024-03-31' - 28 = d": 1,
    "(DATE(ts) + 1) + -1 + 2 = d": 1,
    "EXTRACT(DATE FROM ts) + 1 = d": 1,
    "DATE_TRUNC(d, WEEK) + 1 = d": 1,
    "DATE_ADD(d, INTERVAL 1 DAY) - 1 = d": 4,
    "CURRENT_DATE() - 1 > d": 4,
    "TIMESTAMP_DIFF(ts2, ts, HOUR) = 0": 2,
    "TIMESTAMP_DIFF(ts2, ts, DAY) = 0": 4,
    "TIMESTAMP_DIFF(ts, ts2, HOUR) = -2": 2,
    "TIMESTAMP_DIFF(ts, ts2, MINUTE) = -2": 1,
    "ts >= TIMESTAMP('2024-03-01 07:00:00')": 3,
    "ts >= TIMESTAMP '2024-03-01 07:00:00+00:00'": 3,
    "ts >= '2024-03-01 07:59:00'": 3,
    "ts < CURRENT_TIMESTAMP()": 4,
    "d < CURRENT_DATE()": 4,
    "DATETIME(ts) = DATETIME '2024-03-01 12:00:00'": 1,
}
NESTED = {
    "st.v = 3": 1,
    "st.s <> ''": 2,
    "t.id >= 0": 4,
    "3 IN UNNEST(arr)": 1,
    "NOT 3 IN UNNEST(arr)": 3,
    "arr[SAFE_OFFSET(0)] = 1": 1,
    "arr[SAFE_ORDINAL(2)] = 2": 1,
    "EXISTS(SELECT 1 FROM UNNEST(arr) AS e WHERE e > 1)": 2,
    "NOT EXISTS(SELECT 1 FROM UNNEST(arr) AS e WHERE e > 0)": 2,
    "EXISTS(SELECT 1 FROM UNNEST(items) AS i WHERE i.sc > 0)": 1,
    "(SELECT COUNT(*) FROM UNNEST(arr) AS x WHERE x > 1) = 1": 2,
    "(SELECT COUNTIF(x > 1) FROM UNNEST(arr) AS x) = 0": 2,
    "(SELECT LOGICAL_AND(x > 0) FROM UNNEST(arr) x)": 2,
}
EXACT = {**NULLS_AND_NAN, **NUMBERS, **TEXTS, **TIMES, **NESTED}

REFUSED = [
    "a / b > 1",
    "SAFE_CAST('12.5' AS INT64) IS NOT NULL",
    "SAFE_CAST('yes' AS BOOL)",
    "SAFE_CAST('1' AS BOOL) IS NULL",
    "SAFE_CAST('2024-3-1' AS DATE) IS NOT NULL",
    "CAST(s AS DATE) = d",
    "CAST(f AS INT64) = 2",
    "CAST(-0.5 AS INT64) = -1",
    "CAST(a AS STRING) = '5'",
    "FORMAT_TIMESTAMP('%H', ts) = '07'",
    "SAFE.PARSE_DATE('%Y-%m-%d', s) IS NULL",
    "FORMAT('%05d', id) = '00001'",
    "LPAD(s, 3, '0') = '005'",
    "LPAD(CAST(a AS STRING), 3, '0') = '005'",
    "TO_JSON_STRING(arr) = '[1,2]'",
    "JSON_VALUE(s, '$.a') IS NOT NULL",
    "JSON_EXTRACT_SCALAR(s, '$.a') = '1'",
    "JSON_QUERY(s, '$.a') IS NOT NULL",
    "ARRAY_LENGTH(arr) > 0",
    "arr[OFFSET(0)] = 1",
    "arr[ORDINAL(1)] = 1",
    "SUBSTR(s, 0, 1) = 'a'",
    "SUBSTR(s, -1) = 'a'",
    "TRIM(s) = ''",
    "DIV(a, b) = 2",
    "MOD(a, 0) = 1",
    "LEAST(a, b) = 5",
    "f IN (f, 1)",
    "a IN (SELECT 5)",
    "DATE_TRUNC(d, WEEK(TUESDAY)) = d",
    "EXTRACT(WEEK FROM d) = 9",
    "DATE(ts, zone) = d",
    "DATE(ts, 'Nowhere/Here') = d",
    "DATE '2024-03-01' + a = d",
    "DATE '2024-03-01' + 1.5 = d",
    "DATE '2024-03-05' - DATE '2024-03-01' = 4",
    "d - DATE(ts) = 1",
    "1 - DATE(ts) = d",
    "@date - a = d",
    "DATE '2024-03-01' + 10000000 > d",
    "TIMESTAMP_TRUNC(ts, DAY) = ts",
    "TIMESTAMP_TRUNC(ts, DAY, 'America/New_York') = TIMESTAMP('2024-03-01 05:00:00')",
    "ts = TIMESTAMP(s)",
    "d = DATE '2024-3-1'",
    "REGEXP_CONTAINS(s, s)",
    "REGEXP_EXTRACT(s, r'(a)|b') = 'a'",
    "REGEXP_EXTRACT(s, 'a', 2) = 'a'",
    "s LIKE 'a\\\\%'",
    "s = 'a\\\\d'",
    "s COLLATE 'und:ci' = 'ABC'",
    "FARM_FINGERPRINT(s) IS NOT NULL",
    "APPROX_COUNT_DISTINCT(a) > 0",
    "a IS DISTINCT FROM b",
    "ROUND(f, 1) = 2.5",
    "EXISTS(SELECT 1 FROM UNNEST(arr) AS e WITH OFFSET AS n WHERE n > 0)",
    "EXISTS(SELECT 1 FROM UNNEST(arr) AS e LIMIT 0)",
    "(SELECT MIN(x) FROM UNNEST(arr) AS x) = 1",
    "COUNT(t.*) > 0",
    "(SELECT a FROM t QUALIFY ROW_NUMBER() OVER (ORDER BY a) = 1) = 5",
    "RAND() < 0.5",
    "a & 1 = 1",
    "AND AND",
]


@pytest.fixture(scope="module")
def rows() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE t AS {ROWS}")
        yield connection


@pytest.mark.parametrize("predicate", list(EXACT))
def test_a_predicate_that_is_carried_holds_for_the_rows_that_bigquery_documents(
    rows: duckdb.DuckDBPyConnection, predicate: str
) -> None:
    ((found,),) = rows.execute(f"SELECT count(CASE WHEN {to_duckdb(predicate)} THEN 1 END) FROM t").fetchall()
    assert found == EXACT[predicate]


@pytest.mark.parametrize(
    ("predicate", "found"),
    [("d + 1 = DATE '2024-03-03'", 1), ("1 + t.D = DATE '2024-03-03'", 1), ("(d - 1) + 2 - 1 = d", 4)],
)
def test_days_are_added_to_a_column_that_is_named_as_a_date_column(
    rows: duckdb.DuckDBPyConnection, predicate: str, found: int
) -> None:
    condition = to_duckdb(predicate, frozenset({"d"}))
    assert rows.execute(f"SELECT count(CASE WHEN {condition} THEN 1 END) FROM t").fetchall() == [(found,)]


@pytest.mark.parametrize(
    ("predicate", "found"),
    [("a - 1 = 4", 1), ("1 + a < 0", 1), ("a + 3000000000 > 5", 4), ("f + 1 = 2", 1), ("a - b < 0", 2)],
)
def test_a_number_that_is_named_as_a_date_column_stays_a_number(
    rows: duckdb.DuckDBPyConnection, predicate: str, found: int
) -> None:
    condition = to_duckdb(predicate, frozenset({"a", "f"}))
    assert rows.execute(f"SELECT count(CASE WHEN {condition} THEN 1 END) FROM t").fetchall() == [(found,)]


@pytest.mark.parametrize("predicate", REFUSED)
def test_a_predicate_that_is_not_known_to_be_exact_is_refused(predicate: str) -> None:
    with pytest.raises(QueryError):
        to_duckdb(predicate)


def test_a_text_beyond_ascii_is_an_error_where_the_two_may_differ(rows: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.Error, match="UPPER of a text beyond ASCII"):
        rows.execute("SELECT " + to_duckdb("UPPER('ß') = 'SS'"))


def test_a_refusal_names_the_part_and_not_the_whole(rows: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(QueryError, match=r"^SAFE_CAST\(s AS BOOL\) may mean something else"):
        to_duckdb("a > 0 AND (bo OR SAFE_CAST(s AS BOOL))")
