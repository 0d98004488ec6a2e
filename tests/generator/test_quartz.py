"""Quartz expressions: the examples of its documentation are right; what Quartz refuses, or never starts, is refused."""

from datetime import date

import pytest

from generator.quartz import cron_problem

TODAY = date(2026, 7, 1)
RIGHT = """
0 0 12 * * ?
0 15 10 ? * *
0 15 10 * * ? *
0 15 10 * * ? 2027
0 * 14 * * ?
0 0/5 14 * * ?
0 0/5 14,18 * * ?
0 0-5 14 * * ?
0 10,44 14 ? 3 WED
0 15 10 ? * MON-FRI
0 15 10 15 * ?
0 15 10 L * ?
0 15 10 L-2 * ?
0 15 10 LW * ?
0 15 10 ? * 6L
0 15 10 ? * friL 2026-2030
0 15 10 ? * 6#3
0 0 12 1/5 * ?
0 11 11 11 11 ?
*/10 * * * * ?
0 0 22-2 * * ?
0 0 0 ? * SAT-MON
0 0 8 15W * ?
0 0 0 29 2 ?
0 0 0 31 1,4 ?
0 0 0 29 FEB ? 2028
0 0 0 ? 2 2#5
/5 0 0 * * ?
0 0 0 ? JAN,jun L
""".strip().splitlines()
WRONG = {
    "30 2 * * *": "6 or 7 fields, seconds first, this has 5",
    "0 30 2 * * ? * *": "this has 8",
    "": "this has 0",
    "0 30 2 * * *": "one has to be ?",
    "0 30 2 ? * ?": "one has to be ?",
    "0 0 25 * * ?": "hours: expected 0 to 23, found '25'",
    "0 0 24 * * ?": "hours: expected 0 to 23",
    "60 0 0 * * ?": "seconds: expected 0 to 59",
    "0 60 0 * * ?": "minutes: expected 0 to 59",
    "0 0 0 32 * ?": "day of month: expected 1 to 31",
    "0 0 0 0 * ?": "day of month: expected 1 to 31",
    "0 0 0 * 13 ?": "month: expected 1 to 12 or JAN to DEC",
    "0 0 0 * 0 ?": "month: expected 1 to 12",
    "0 0 0 * JANUARY ?": "month: expected 1 to 12 or JAN to DEC, found 'JANUARY'",
    "0 0 0 ? * 0": "day of week: expected 1 to 7 or SUN to SAT, found '0'",
    "0 0 0 ? * 8": "day of week: expected 1 to 7",
    "0 0 0 ? * MON#6": "day of week: expected #1 to #5",
    "0 0 0 ? * MON#0": "day of week: expected #1 to #5",
    "0 0 0 ? * MON#1,TUE#1": "L, W and # stand alone",
    "0 0 0 1,L * ?": "day of month: expected 1 to 31, found 'L'",
    "0 0 0 L-31 * ?": "expected L-1 to L-30",
    "0 0/0 0 * * ?": "minutes: expected a step of 1 to 59, found '0'",
    "0 0/61 0 * * ?": "minutes: expected a step of 1 to 59",
    "0 0/ 0 * * ?": "minutes: expected a step",
    "0 5-  0 * * ?": "minutes: '5-' is not a value, a range or a step",
    "0 , 0 * * ?": "minutes: '' is not a value",
    "0 *-5 0 * * ?": "minutes: '*-5' is not a range",
    "? 0 0 * * ?": "seconds: '?' is not a value",
    "0 0 0 * * ? 1969": "year: expected 1970 to 2099",
    "0 0 0 * * ? 2030-2027": "year: '2030-2027' ends before it begins",
    "0 0 0 * * ? 2025": "year: every year of '2025' is past",
    "0 0 0 30 2 ?": "a date that never comes: '30 2 ?'",
    "0 0 0 31 4,6,9,11 ?": "a date that never comes",
    "0 0 0 31W FEB ?": "a date that never comes",
    "0 0 0 L-29 2 ?": "a date that never comes",
    "0 0 0 29 2 ? 2027": "a date that never comes: '29 2 ? 2027'",
    "0 0 0 ? 2 2#5 2027": "a date that never comes",
    "0 0 ² * * ?": "hours: ",
}


@pytest.mark.parametrize("expression", RIGHT)
def test_right_expressions(expression: str) -> None:
    assert cron_problem(expression, TODAY) == ""


@pytest.mark.parametrize("expression", WRONG)
def test_wrong_expressions(expression: str) -> None:
    assert WRONG[expression] in cron_problem(expression, TODAY)
