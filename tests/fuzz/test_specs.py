"""Specs that others wrote: understood and checked, or refused in one clear screen; never a crash.

Random mutations of valid specs, as text: other types, odd scalars, extra and missing keys, deep
nesting, unicode. MIXOPT_FUZZ_CASES is their number.
"""

import contextlib
import copy
import os
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mixopt.app.output.console import error_text
from mixopt.app.running.preparation import checked, prepared
from mixopt.app.spec.spec_file import json_schema, names_in, read_spec
from mixopt.app.spec.strict_yaml import YamlError, read_yaml
from mixopt.app.spec.values import Spec
from mixopt.errors import InputError, MixoptError
from mixopt.lazy import load

CASES = int(os.environ.get("MIXOPT_FUZZ_CASES", "40"))
LIMIT_S = 10.0
SCHEMA = jsonschema.Draft202012Validator(json_schema())
FAKE = "mixopt.testing.trainers:FakeTrainer"
BASES: list[dict[str, Any]] = [
    {
        "version": 1,
        "name": "plain",
        "trainer": {"use": FAKE},
        "scales": [{"params": 1000, "tokens": "10k"}],
        "objective": {"minimize": "loss/web"},
    },
    {
        "version": 1,
        "name": "full",
        "seed": 3,
        "trainer": {"use": FAKE, "config": {"values": {"web": 1.0, "no": 2.0, "2020": 1.5}}},
        "scales": [{"params": "1k", "tokens": "10k"}, {"params": "1.5k", "tokens": "1e5"}],
        "space": {
            "domains": {"web": {"tokens": "5T", "prior": 2, "tags": {"licence": "mit"}}},
            "bounds": {"web": [0.1, 0.9]},
            "groups": {"g": {"tag": {"licence": "mit"}, "upper": 0.8}},
            "ties": {"t": {"no": 1.0, "2020": 2.0}},
            "budget": "3G",
            "epochs": {"*": 4, "web": 2.5},
            "min_weight": 0.01,
        },
        "objective": {
            "minimize": {"loss/web": 1, "loss/no": 2},
            "maximize": ["loss/2020"],
            "reduce": "worst",
            "guards": {"loss/web": {"tolerance": 0.1, "baseline": "natural"}},
            "standardize": True,
            "kl": 0.1,
            "kl_unit": "sd",
        },
        "strategy": {"use": "auto", "design": 8, "proposals": 4, "law": "log-linear", "stop": 0.5},
        "execution": {"use": "local", "pack_size": 2},
    },
    {
        "version": 1,
        "name": "knobs",
        "trainer": {"use": FAKE, "config": {"rate": 4.0}},
        "scales": [{"params": 1000, "tokens": 10_000}],
        "objective": {"minimize": ["loss/web", "loss/code"]},
        "strategy": {"use": "joint", "design": 4, "runs": 8, "caution": 0.5},
        "knobs": {"noise": {"low": 0.001, "high": 0.1, "log": True}},
        "execution": {"runtime_env": {"env_vars": {"HF_TOKEN": "abc"}}},
    },
    *(
        {
            "version": 1,
            "name": use,
            "trainer": {"use": FAKE},
            "scales": [{"params": 1000, "tokens": 10_000}],
            "objective": {"minimize": ["loss/web", "loss/code"]},
            "strategy": {"use": use, **chosen},
        }
        for use, chosen in {
            "random": {"runs": 4, "batch": 2, "design": "uniform"},
            "ladder": {"design": 4, "runs": 8, "acquisition": "kg", "wait": False},
            "climb": {"rounds": [8, 4], "top": 2, "law": "ridge"},
            "olmix": {"runs": 9, "regularization": 0.1, "swarm": "olmix"},
            "pareto": {"design": 4, "runs": 8, "objectives": {"a": "loss/web", "b": "loss/code"}},
            "rungs": {"design": 4, "eta": 2.0, "kill": 0.1},
        }.items()
    ),
]


class Raw(str):
    """Text that goes into the file as it is, without quotes."""

    __slots__ = ()


SCALARS = [
    *("no", "on", "yes", "2020", "1e3", "1:30", "010", "0x10", "2020-01-01", "null", "~", ".inf"),
    *(".nan", "-1", "0", "6.5", "true", "six", "1e400", "9" * 400, "'6'", '""', "''", "64k"),
    *("1000000000000", "[]", "{}", "[[]]", "{a: {b: c}}", "*nope", "&a [*a]", '"\\0"', "!!int 3"),
    *("[" * 40, "'é\u202e\U0001f600'", "a" * 3000, "os:sep", "../../x", "$NOPE", "-0.0", "1e-320"),
    *(
        "hf_aaaaaaaaaaaaaaaaaaaaaaaa",
        "http://u:hush@127.0.0.1:1/x",
        "sqlite:///:memory:",
        "/proc/x",
    ),
    *("|\n  a\n  b", "@x", "`x", "%x", "- 1", "a: b", "[0.2, 0.2]", "\t", "'a\tb'", "<<"),
]


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    return [at, *(p for k, v in inner for p in paths(v, (*at, k)))]


@st.composite
def specs(draw: st.DrawFn) -> str:
    """The text of a valid spec with up to three mutations."""
    values = copy.deepcopy(draw(st.sampled_from(BASES)))
    odd = st.sampled_from(SCALARS).map(Raw) | st.text(max_size=8) | st.floats() | st.integers()
    for _ in range(draw(st.integers(0, 3))):
        *parents, key = draw(st.sampled_from(paths(values)[1:]))
        node = values
        for part in parents:
            node = node[part]
        how = draw(st.sampled_from(["value", "value", "value", "drop", "key", "twice"]))
        if how == "value":
            node[key] = draw(odd)
        elif how == "drop":
            del node[key]
        elif how == "key" and isinstance(node, dict):
            node[draw(st.sampled_from(SCALARS).map(Raw) | st.text(max_size=5))] = node.pop(key)
        elif how == "twice" and isinstance(node, list):
            node.append(copy.deepcopy(node[key]))
    return write(values)


def write(value: Any) -> str:
    """Flow YAML, with raw texts as they are."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{write(k)}: {write(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(write, value)) + "]"
    if isinstance(value, Raw):
        return str(value)
    text = yaml.safe_dump(value, default_flow_style=True, default_style='"', width=10**9)
    plain = yaml.safe_dump(value, default_flow_style=True, width=10**9)
    return (text if isinstance(value, str) else plain.removesuffix("...\n")).strip()


def outcome(text: str, folder: Path) -> Spec | MixoptError:
    """The spec, passed by everything that is checked before training; or why it is refused."""
    (folder / "spec.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    start = time.process_time()
    try:
        spec = read_spec(folder / "spec.yaml")
        prepared(checked(spec, folder / "out"))
        return spec
    except MixoptError as error:
        return error
    finally:
        assert time.process_time() - start < LIMIT_S


def check_screen(error: MixoptError) -> None:
    """One screen, in plain characters, that says what was given and what to do."""
    text = error_text(error)
    assert sum(-(-max(len(row), 1) // 100) for row in text.splitlines()) <= 24, text
    assert "Traceback" not in text
    assert "hush" not in text
    assert all(c.isprintable() or c == "\n" for c in text), repr(text)
    assert ";" in text or ":" in text, text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    load("mixopt.execution.ray:RayExecutor")  # its import takes seconds, once
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("base", BASES, ids=lambda b: b["name"])
def test_the_specs_that_are_changed_are_valid(base: dict[str, Any], folder: Path) -> None:
    text = yaml.safe_dump(base)
    assert isinstance(outcome(text, folder), Spec), outcome(text, folder)
    SCHEMA.validate(read_yaml(text.encode(), lambda path: False).values)


@settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(text=specs())
@example(text="")
@example(text="version: 1")
@example(text="[1, 2]")
@example(text="{version: 1, version: 1}")
@example(text=write(BASES[0] | {"name": Raw("no")}))
@example(text=write(BASES[0] | {"name": Raw("2020")}))
@example(text=write(BASES[0] | {"store": {"uri": "sqlite:///:memory:"}}))
@example(text=write(BASES[0] | {"store": {"uri": "sqlite:////tmp"}}))
@example(text=write(BASES[0] | {"store": {"uri": "oracle://me:hush@host/db"}}))
@example(text=write(BASES[0] | {"store": {"uri": "postgresql://me:hush@host/db"}}))
@example(text=write(BASES[0] | {"trainer": {"use": "os:sep"}}))
@example(text=write(BASES[0] | {"trainer": {"use": "sys:exit"}}))
@example(text=write(BASES[0] | {Raw("no"): 1, Raw("2020"): 2, Raw("~"): 3}))
@example(text=write(BASES[0] | {"strategy": {"use": "random", "runs": 10**12}}))
@example(text=write(BASES[0] | {"space": {"bounds": {f"d{i}": [0, 2] for i in range(300)}}}))
@example(text=write(BASES[0] | {f"key{i}": 1 for i in range(500)}))
def test_a_spec_is_taken_or_refused_in_one_screen(text: str, folder: Path) -> None:
    result = outcome(text, folder)
    if isinstance(result, MixoptError):
        check_screen(result)
        return
    # What mixopt takes, an editor takes as well, whose YAML has numbers where names look like some.
    SCHEMA.validate(read_yaml(text.encode(), names_in(json_schema())).values)
    with contextlib.suppress(YamlError):  # `no` is a text to an editor, as it was just now
        SCHEMA.validate(read_yaml(text.encode(), lambda path: False).values)


@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    data=st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "ignore"))
)
@example(data=b"\xff\xfea")
@example(data=b"a: &x [*x]")
def test_any_bytes_are_a_spec_or_refused(data: bytes, folder: Path) -> None:
    (folder / "bytes.yaml").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_spec(folder / "bytes.yaml")
    check_screen(caught.value)
