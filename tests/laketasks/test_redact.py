"""The one list of the forms of a secret, which wheel, generator and monitor share."""

from __future__ import annotations

import base64
import time

import pytest

from laketasks.redact import redact

LOGIN = base64.b64encode(b"0000-1111:a-client-secret").decode()
HIDDEN = {
    "a bare dkea0123456789abcdef0123456789abcdef here": "a bare *** here",
    "a bare dapi0123456789abcdef, dose0123456789abcdef": "a bare ***, ***",
    "cannot connect to http://me:secret@host/x": "cannot connect to http://***host/x",
    "http://me:p@ss/word@host": "http://***host",
    "postgresql://u:p@h/db": "postgresql://***h/db",
    "Authorization: Bearer abcdefghijkl": "Authorization: ***",
    "{'Authorization': 'Basic abc'}": "{'Authorization': '***'}",
    f"sent {LOGIN} to it": "sent *** to it",
    f"Basic {LOGIN}": "***",
    "AccountName=x;AccountKey=abc+/def==;EndpointSuffix=y": "AccountName=x;AccountKey=***;EndpointSuffix=y",
    "https://x.example/c?sv=2020&sig=abc%2Bdef%3D&se=1": "https://x.example/c?sv=2020&sig=***&se=1",
    "user=a;password={a;b};encrypt=true": "user=a;password=***;encrypt=true",
    'Server=h;Uid=me;Pwd="a b"': 'Server=h;Uid=me;Pwd="***"',
    '{"token": "a b", "rows": 1}': '{"token": "***", "rows": 1}',
    r"{\"client_secret\": \"a b\"}": r"{\"client_secret\": \"***\"}",
    "password: hunter2": "password: ***",
    "'DATABRICKS_TOKEN': 'x'": "'DATABRICKS_TOKEN': '***'",
    "fs.azure.account.key.me.dfs.core.windows.net=KEY": "fs.azure.account.key.me.dfs.core.windows.net=***",
    "aws_secret_access_key = AbC/1": "aws_secret_access_key = ***",
    "laketasks --token abc": "laketasks --token ***",
    "eyJhbGciOiJIUzI1NiJ9.e30.abc": "***",
    "ghp_0123456789abcdefghij": "***",
    "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nnext": "***\nnext",
}
KEPT = [
    "column password: expected STRING, found INT",
    "unexpected token: FROM at line 3; did you mean dose_amount_mg?",
    "Basic authentication is off",
    "https://host:443/x@y",
    "design=abc, key 'token' not found",
    '  File "/databricks/python3/lib/python3.12/site-packages/laketasks/load.py", line 120',
    "dev_silver.retail.dim_customer_address: 0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_a_secret_of_this_form_is_hidden(text: str) -> None:
    assert redact(text) == HIDDEN[text]


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_the_values_of_the_environment_and_of_the_caller_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_STORAGE_KEY", "its/value one")
    monkeypatch.setenv("PWD", "/home/ana")
    encoded = base64.b64encode(b"x:its/value one").decode()
    text = f"its/value one, its%2Fvalue%20one, {encoded}, given-by-caller, /home/ana"
    assert redact(text, ["given-by-caller"]) == "***, ***, ***, ***, /home/ana"


@pytest.mark.parametrize("part", ["a.b-", "://a:", "token ", "-", "x", "Authorization: ", '"'])
def test_a_long_text_takes_time_in_proportion(part: str) -> None:
    started = time.process_time()
    redact(part * (200_000 // len(part)))
    assert time.process_time() - started < 5
