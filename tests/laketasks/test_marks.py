"""Watermarks as text: each value of each type comes back, and the order of marks is the engine's."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql import types as t

from laketasks import mark
from laketasks.error import SourceError
from tests.laketasks.warehouse import T, Warehouse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_NO_TIME = timedelta(0)
_FIRST, _LAST = -62135596800000000, 253402300799999999  # the years 1 to 9999 in microseconds
_MICROS = st.sampled_from([_FIRST, _FIRST + 1, -1, 0, 1, -30610224000000001, 1704067200123456, _LAST]) | st.integers(
    _FIRST, _LAST
)
_NAIVE = _MICROS.map(lambda n: datetime(1970, 1, 1) + timedelta(microseconds=n))  # noqa: DTZ001
_FLOATS = st.floats(width=32) | st.sampled_from([-0.0, 0.0, float("inf"), float("-inf"), float("nan")])
_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8) | st.sampled_from(
    [
        "a",
        "a ",
        "A",
        "'",
        "\\",
        "\\'",
        "%_",
        "\n",
        "\r\n",
        "\t",
        "ä",
        "\u2028",
        "\uffee",
        "😀",
        "${x}",
        "{{x}}",
        "--",
        "",
    ]
)
# The type, its values as a column of `kind` takes them, and the expression that makes the value of that column `x`.
TYPES: dict[str, tuple[t.DataType, Any, str, str]] = {
    "timestamp": (t.TimestampType(), _MICROS, "bigint", "timestamp_micros(x)"),
    "timestamp_ntz": (t.TimestampNTZType(), _NAIVE.map(lambda m: m.isoformat()), "string", "cast(x AS TIMESTAMP_NTZ)"),
    "date": (t.DateType(), st.integers(_FIRST // 86400000000, _LAST // 86400000000), "int", "date_from_unix_date(x)"),
    "tinyint": (t.ByteType(), st.integers(-128, 127), "bigint", "cast(x AS TINYINT)"),
    "int": (t.IntegerType(), st.integers(-(2**31), 2**31 - 1), "bigint", "cast(x AS INT)"),
    "bigint": (t.LongType(), st.integers(-(2**63), 2**63 - 1), "bigint", "x"),
    "decimal(38,0)": (
        t.DecimalType(38, 0),
        st.decimals(allow_nan=False, places=0, min_value=-(10**37), max_value=10**37).map(lambda d: format(d, "f")),
        "string",
        "cast(x AS DECIMAL(38,0))",
    ),
    "decimal(20,10)": (
        t.DecimalType(20, 10),
        st.decimals(allow_nan=False, places=10, min_value=-(10**9), max_value=10**9).map(lambda d: format(d, "f")),
        "string",
        "cast(x AS DECIMAL(20,10))",
    ),
    "float": (t.FloatType(), _FLOATS, "float", "x"),
    "double": (t.DoubleType(), _FLOATS | st.floats() | st.sampled_from([1e308, 5e-324, 0.1]), "double", "x"),
    "string": (t.StringType(), _TEXTS, "string", "x"),
    "boolean": (t.BooleanType(), st.booleans(), "boolean", "x"),
    "binary": (t.BinaryType(), st.binary(min_size=8, max_size=8).map(bytes.hex), "string", "unhex(x)"),
}


@pytest.mark.parametrize("name", TYPES)
def test_each_value_comes_back_and_lies_where_the_engine_has_it(spark: SparkSession, name: str) -> None:
    kind, values, column, expression = TYPES[name]

    @settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.lists(values, min_size=12, max_size=12))
    def check(drawn: list[Any]) -> None:
        numbered = list(enumerate(drawn))
        rows = spark.createDataFrame(numbered, f"i int, x {column}").selectExpr("i", f"{expression} AS x")
        told = rows.groupBy("i").agg(F.expr(f"{mark.mark_of('x', kind)} AS m")).collect()
        marks = {row["i"]: mark.read_mark(row["m"], kind) for row in told}
        assert sorted(i for i, m in marks.items() if m is None) == [
            i for i, x in numbered if isinstance(x, float) and not isfinite(x)
        ]
        marks = {i: m for i, m in marks.items() if m is not None}
        assert all(mark.fits(m, kind) for m in marks.values())
        reached = [f"{mark.from_mark('x', marks[i], kind, _NO_TIME)} AS r{i}" for i in marks]
        for row in rows.selectExpr("i", *reached).where(f"i IN ({', '.join(map(str, marks))})").collect():
            own = marks[row["i"]]
            assert row[f"r{row['i']}"], (name, drawn[row["i"]], own)
            for i, other in marks.items():
                assert row[f"r{i}"] is not mark.earlier(own, other, kind), (name, own, other)

    check()


@pytest.mark.parametrize(
    ("left", "right", "kind"),
    [
        ("0999-01-01T00:00:00.000000Z", "1000-01-01T00:00:00.000000Z", t.TimestampType()),
        (
            "999-01-01T00:00:00.000000Z",
            "1000-01-01T00:00:00.000000Z",
            t.TimestampType(),
        ),  # as a former release wrote it
        ("9", "10", t.LongType()),
        ("-0.00000001", "0", t.DecimalType(20, 10)),
        ("inf", "nan", t.DoubleType()),
        ("-inf", "-1e+308", t.DoubleType()),
        ("00FF", "0100", t.BinaryType()),
        ("\uffee", "😀", t.StringType()),  # by UTF-8, not by UTF-16
    ],
)
def test_marks_have_the_order_of_their_type(left: str, right: str, kind: t.DataType) -> None:
    assert mark.earlier(left, right, kind)
    assert not mark.earlier(right, left, kind)
    assert not mark.earlier(left, left, kind)


@pytest.mark.parametrize("micros", [_FIRST - 1, _LAST + 1])
def test_a_time_that_has_no_text_is_refused(micros: int) -> None:
    with pytest.raises(SourceError, match="TIMESTAMP lies outside the years 1 to 9999"):
        mark.read_mark(str(micros), t.TimestampType())


@pytest.mark.parametrize(
    ("value", "kind"),
    [("5", t.TimestampType()), ("x", t.LongType()), ("x", t.DoubleType()), ("2024-13-01", t.DateType())],
)
def test_the_mark_of_another_type_does_not_fit(value: str, kind: t.DataType) -> None:
    assert not mark.fits(value, kind)


BEFORE, AFTER = (datetime(year, 7, 7, 7, 7, 7, 7, tzinfo=timezone.utc) for year in (777, 1777))
NAIVE = ["0999-12-31 23:59:59.000001", "1000-01-01 00:00:00.000000"]
VERSIONS = [b"\0\0\0\0\0\0\0\x9f", b"\0\0\0\0\0\0\1\0"]
NIGHTS: dict[str, tuple[str, str, list[Any], list[str]]] = {
    "year 777": ("timestamp", "u", [BEFORE, AFTER], ["0777-07-07T07:07:07.000007Z", "1777-07-07T07:07:07.000007Z"]),
    "date of year 3": ("date", "u", [date(3, 1, 1), date(3, 1, 2)], ["0003-01-01", "0003-01-02"]),
    "ntz of year 999": ("string", "cast(u AS TIMESTAMP_NTZ)", NAIVE, [n.replace(" ", "T") for n in NAIVE]),
    "rowversion": ("binary", "u", VERSIONS, ["000000000000009F", "0000000000000100"]),
    "decimal": ("decimal(20,10)", "u", [Decimal("0.0000000001"), Decimal(7)], ["0.0000000001", "7.0000000000"]),
    "double": ("double", "u", [-0.0, 1e308], ["-0.0", "1e+308"]),
    "string": ("string", "u", ["it's \\ 1 ", "it's \\ 2"], ["it's \\ 1 ", "it's \\ 2"]),
    "boolean": ("boolean", "u", [False, True], ["false", "true"]),
}  # fmt: skip


@pytest.mark.parametrize("pipeline", ["fact_incremental_merge"])
@pytest.mark.parametrize("night", NIGHTS)
def test_the_second_night_goes_on_from_the_first(
    warehouse: Warehouse, pipeline: str, night: str, tmp_path: Any
) -> None:
    kind, expression, (one, two), marks = NIGHTS[night]
    sql = tmp_path / "source.sql"
    sql.write_text(f"SELECT id, v, {expression} AS u FROM {warehouse.bronze_table('source')}")
    row = {"load_type": "incremental", "sequence_by": "u", "sql_file_path": str(sql)}
    warehouse.source(f"id int, v string, u {kind}", (1, "a", one))
    assert warehouse.load(pipeline, twice=False, **row)["watermark_to"] == marks[0]
    warehouse.source(f"id int, v string, u {kind}", (1, "b", two), (2, "c", one))
    again = warehouse.load(pipeline, twice=False, **row)
    assert (again["watermark_from"], again["watermark_to"]) == tuple(marks)
    assert (again["changed"], again["new"]) == (1, 1)


@pytest.mark.parametrize("pipeline", ["scd1"])
@pytest.mark.parametrize("key", ["sequence_by", "watermark"])
def test_bytes_of_several_lengths_are_refused_with_the_cast(warehouse: Warehouse, pipeline: str, key: str) -> None:
    warehouse.source("id int, u binary", (1, b"\2"), (2, b"\1\0"))
    warehouse.refuses(pipeline, Exception, r"values of 1, 2 bytes.*lpad\(hex\(column\), 4, '0'\)", **{key: "u"})


@pytest.mark.parametrize("kind", ["array<int>", "struct<a:int>", "map<int,int>"])
@pytest.mark.parametrize("key", ["sequence_by", "watermark"])
def test_a_type_without_an_order_is_refused_by_name(warehouse: Warehouse, kind: str, key: str) -> None:
    warehouse.source("id int, v string, u timestamp", (1, "a", T(1)))
    warehouse.spark.sql(f"CREATE OR REPLACE TEMP VIEW nothing AS SELECT cast(NULL AS {kind}) AS u")
    with pytest.raises(SourceError, match=r"u is .* which has no order that a later load could go on from. Cast it"):
        mark.check_kinds(key, {"u": warehouse.spark.table("nothing").schema["u"].dataType})


@pytest.mark.parametrize("pipeline", ["scd1"])
def test_a_lookback_from_numbers_is_refused_on_the_first_night(warehouse: Warehouse, pipeline: str) -> None:
    warehouse.source("id int, u bigint", (1, 7))
    warehouse.refuses(
        pipeline,
        SourceError,
        r"lookback \(2 days\) needs a watermark that is a timestamp or a date; this one is bigint\. Name another",
        load_type="incremental",
        watermark="u",
        lookback="2 days",
    )
