"""Secrets are masked wherever they stand; what is none stays as it is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.space.redaction import MASK, known_secrets, password_of, redact, resolve, secrets_in

LONG = "abcdefghijklmnop1234"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://me:hush@host:5000/x", "http://me:***@host:5000/x"),
        ("postgresql+psycopg2://me:hush@host/db", "postgresql+psycopg2://me:***@host/db"),
        ("cannot reach https://a:b@c and http://d:e@f", "cannot reach https://a:***@f"),
        ("http://me:hu/sh@host", "http://me:***@host"),
        ("s3://bucket/key?token=hush&a=1", "s3://bucket/key?token=***&a=1"),
        (f"hf_{LONG} was refused", f"{MASK} was refused"),
        ("AKIAABCDEFGHIJKLMNOP", MASK),
        ({"password": "hush", "n": 1}, {"password": MASK, "n": 1}),
        ({"db": [{"apiKey": "x"}]}, {"db": [{"apiKey": MASK}]}),
        ({"AWS_SECRET_ACCESS_KEY": "x"}, {"AWS_SECRET_ACCESS_KEY": MASK}),
        ({"hf_token": LONG}, {"hf_token": MASK}),
        ({"env_vars": {"HOME": "/root", "N": "1"}}, {"env_vars": {"HOME": MASK, "N": MASK}}),
    ],
)
def test_secrets_are_masked(value: Any, shown: Any) -> None:
    if isinstance(value, str) and value.startswith("cannot"):
        assert "b@" not in redact(value)
        assert "e@" not in redact(value)
    else:
        assert redact(value) == shown


@pytest.mark.parametrize(
    "value",
    [
        {"pad_token": "<pad>", "tokens": 5, "tokens_key": "n", "tokenizer": "a.json"},
        {"token": 5, "keys": ["a"], "key": "metric", "monkey": "x"},
        {"password": "$DB_PASSWORD", "uri": "postgresql://me:$DB_PASSWORD@host/db"},
        "http://host:5000/a:b",
        "http://me@host",
        "loss/web",
        {"password": "", "secret": None},
        3,
    ],
)
def test_what_is_no_secret_stays(value: Any) -> None:
    assert redact(value) == value
    assert list(secrets_in(value)) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "password", "env_vars", "token"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_masking_twice_masks_nothing_more_and_leaves_no_secret(value: Any) -> None:
    once = redact(value)
    assert redact(once) == once
    assert list(secrets_in(once)) == []


def test_known_secrets_are_masked_in_any_text() -> None:
    known = known_secrets({"env_vars": {"MY_TOKEN": "hush-hush", "HOME": "/home/someone"}})
    assert known == {"hush-hush"}
    assert redact("trainer said hush-hush at /home/someone", known=known) == (
        "trainer said *** at /home/someone"
    )


def test_secrets_are_found_with_their_path() -> None:
    value = {"a": [{"password": "x"}], "b": "http://u:p@h", "c": 1}
    assert list(secrets_in(value)) == ["a.0.password", "b"]


def test_references_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PASSWORD", "hush")
    uri = "postgresql://me:${MY_PASSWORD}@host/$MY_PASSWORD"
    assert resolve(uri) == "postgresql://me:hush@host/hush"
    assert password_of(resolve(uri)) == "hush"
    with pytest.raises(InputError, match="NOT_THERE is not set; export it"):
        resolve("$NOT_THERE")
