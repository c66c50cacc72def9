"""What every exporter must do, whatever its format."""

import ast
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt import InputError, Mixture
from mixopt.export import EXPORTERS, export

ODD = ('we"b', "co'de\\", "é😀{x}", '"""', "</script>", "a%sb#", "{{}}", "# x", "line\u2028sep")


def _json(text, names):
    return json.loads(text)["weights"]


def _python(text, names):
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "PROBABILITIES":
            return ast.literal_eval(node.value)
    raise AssertionError("no PROBABILITIES in the file")


def _blend(text, names):
    train = json.loads(text)["train"]
    by_path = {path: name for name, path in names.items()}
    return {by_path[p]: float(w) for w, p in zip(train[::2], train[1::2], strict=True)}


READERS = {"json": _json, "hf-datasets": _python, "megatron": _blend}
"""How a test reads the weights back; a new exporter adds its row."""
TAKES_PATHS = {"hf-datasets", "megatron"}


def write(mixture, name, **options):
    paths = {d: f"/data/{i}_text" for i, d in enumerate(mixture.domains)}
    if name in TAKES_PATHS:
        options["paths"] = paths
    return export(mixture, name, **options), paths


def test_every_exporter_has_a_reader_here():
    assert set(READERS) == set(EXPORTERS)


@pytest.mark.parametrize("name", EXPORTERS)
@settings(max_examples=30, deadline=None)
@given(
    raw=st.lists(st.one_of(st.just(0.0), st.floats(1e-4, 1.0)), min_size=1, max_size=9).filter(any)
)
def test_weights_come_back_and_zeros_are_dropped(name, raw):
    total = sum(raw)
    mixture = Mixture(ODD[: len(raw)], tuple(w / total for w in raw))

    text, paths = write(mixture, name)
    back = READERS[name](text, paths)

    assert set(back) == {d for d, w in mixture.to_dict().items() if w > 0}
    assert back == pytest.approx({d: mixture[d] for d in back}, abs=1e-6)
    assert sum(round(w * 10**9) for w in back.values()) == 10**9  # as decimals: exactly 1


@pytest.mark.parametrize("name", EXPORTERS)
def test_provenance_is_taken_and_cannot_break_the_file(name):
    mixture = Mixture.of({"web": 0.5, "code": 0.5})
    nasty = {"spec": 'x"""\nimport os\u2028import os\n</script>', "sd": 0.25}

    text, paths = write(mixture, name, provenance=nasty)

    assert READERS[name](text, paths) == {"web": 0.5, "code": 0.5}


@pytest.mark.parametrize("name", sorted(TAKES_PATHS))
def test_a_missing_path_is_named(name):
    with pytest.raises(InputError, match="no path is given for 'code'"):
        export(Mixture.of({"web": 0.5, "code": 0.5}), name, paths={"web": "/d/web"})


@pytest.mark.parametrize("name", sorted(TAKES_PATHS))
def test_a_domain_without_share_needs_no_path(name):
    text = export(Mixture.of({"web": 1.0, "code": 0.0}), name, paths={"web": "/d/web"})
    assert "code" not in text


@pytest.mark.parametrize("name", EXPORTERS)
def test_an_unknown_option_is_refused_with_the_known_ones(name):
    with pytest.raises(InputError, match="no setting 'pahts'"):
        export(Mixture.of({"web": 1.0}), name, pahts={})
