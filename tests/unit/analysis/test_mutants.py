"""The mutation run: what it changes, which tests it asks, and how it tells what lives."""

import json
from pathlib import Path

import pytest

from analysis.mutants.operators import Source, changes
from analysis.mutants.places import CONTRACTS, files_for, modules, selection
from analysis.mutants.record import KILLED, SURVIVED, TIMEOUT, Record, rate
from analysis.mutants.run import Runner
from analysis.mutants.sample import Equivalent, draw, mutants, read_equivalents

ROOT = Path(__file__).parents[3]


def faults(text: str) -> set[str]:
    """Each mutant of a program as operator and changed line."""
    return {f"{m.operator}: {m.after}" for m in mutants("mixopt/a.py", text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a < b", {"comparison: a <= b", "comparison: a >= b"}),
        ("a not in b", {"comparison: a in b"}),
        ("(a) + (b)", {"arithmetic: (a) - (b)"}),
        ("a += b", {"arithmetic: a -= b", "effect: pass"}),
        ("a and b", {"logic: a or b"}),
        ("-a", {"arithmetic: a"}),
        ("'w/'", set()),  # a statement that is a string does nothing
        ("a = 'w/'", {"constant: a = 'XXw/'"}),
        ("a = 2", {"constant: a = (2 + 1)", "constant: a = (2 - 1)"}),
        ("def f(a=True): return a", {"constant: def f(a=False): return a"}),
        ("f(a, b=c, d=e)", {"argument: f(a, d=e)", "argument: f(a, b=c, )", "effect: pass"}),
        ("if a: b = c", {"condition: if not (a): b = c"}),
        ("[a for a in b if c]", {"condition: [a for a in b if True]"}),
        ("a.b = c", {"effect: pass"}),
        ("warnings.warn('word', stacklevel=2)", {"effect: pass"}),  # whether, not what
        ("é = ü - ö", {"arithmetic: é = ü + ö"}),
    ],
)
def test_what_is_changed(text: str, expected: set[str]) -> None:
    assert {fault for fault in faults(text) if "return None" not in fault} == expected


def test_a_returned_value_is_lost_and_an_empty_return_is_not() -> None:
    assert "return: return None" in faults("def f():\n    return a")
    assert faults("def f():\n    return") == set()
    assert faults("def f():\n    return None") == set()


@pytest.mark.parametrize(
    "text",
    [
        "raise InputError(f'{1 + a}', 'name', 2)",
        "a = f'{b + 1} words'",
        "a = 'words of a sentence'",
        "a = UserWarning('word', 2)",
        "__all__ = ['a']",
        "def f(a: 'B | C') -> 'D | None': 'name'",
        "A = B | C",
        "import a",
    ],
)
def test_texts_and_types_are_left_alone(text: str) -> None:
    assert faults(text) == set()


def test_a_fault_keeps_every_other_byte() -> None:
    text = "def f(ä):\n    return (ä  +\n            1)  # ö\n"
    source = Source(text)
    plus = next(c for c in changes(source) if c.operator == "arithmetic")
    assert source.apply(plus) == text.replace("+", "-")
    assert plus.inside == "f"


def test_a_sample_is_of_the_seed_and_outlives_changes_elsewhere() -> None:
    texts = {"mixopt/a.py": "def f(a):\n    return a + 1 < 2", "mixopt/b.py": "b = 3\nc = 4\n"}
    drawn = [m.name for m in draw(texts, 4, seed=0)]
    assert len(drawn) == 4
    assert drawn != [m.name for m in draw(texts, 4, seed=1)]
    # Whatever stands before it, a mutant keeps its name and its place in the draw.
    texts["mixopt/a.py"] = "import x\n\n\n" + texts["mixopt/a.py"]
    assert [m.name for m in draw(texts, 4, seed=0)] == drawn
    everyone = {m.name for m in draw(texts, 100, seed=0)}
    assert set(drawn) < everyone
    # A module that goes takes its own with it, and no other.
    del texts["mixopt/b.py"]
    rest = [m.name for m in draw(texts, 100, seed=0)]
    assert [name for name in drawn if "mixopt/a.py" in name] == rest[
        : sum("mixopt/a.py" in name for name in drawn)
    ]


def test_every_module_has_tests_that_answer_for_it() -> None:
    for module in modules(ROOT):
        files = files_for(ROOT, module)
        assert files, f"no test answers for {module}"
        assert [file for file in files if not (ROOT / file).is_file()] == []
    assert files_for(ROOT, "mixopt/space/simplex.py")[0] == "tests/unit/space/test_simplex.py"
    assert files_for(ROOT, "mixopt/study/study.py")[0] == "tests/unit/study/test_study.py"
    alone = files_for(ROOT, "proxies/experts/merging.py")  # what is beside it trains
    assert alone == ["tests/unit/proxies/experts/test_merging.py"]
    assert len(files_for(ROOT, "proxies/corpus/injected.py")) > 1


def test_of_a_contract_those_plug_ins_are_tried_that_the_module_makes() -> None:
    laws = "tests/contracts/test_laws.py"
    assert selection("mixopt/laws/bimix.py", ["tests/unit/laws/test_zoo.py", laws]) == (
        "(not test_laws.py or [bimix] or [bimix- or -bimix])"
    )
    shared = selection("mixopt/laws/parametric.py", [laws])
    assert "[bimix]" in shared
    assert "[auto]" not in shared
    assert selection("mixopt/space/simplex.py", ["tests/unit/space/test_simplex.py"]) == ""
    assert all((ROOT / file).is_file() for file in CONTRACTS)


def test_proofs_speak_of_lines_that_exist() -> None:
    for entry in read_equivalents(ROOT / "analysis" / "mutants" / "equivalent.json"):
        text = (ROOT / entry.module).read_text(encoding="utf-8")
        assert any(entry.is_proof_of(m) for m in mutants(entry.module, text)), entry
        assert entry.proof.endswith(".")


def test_timeouts_are_not_kills_and_equivalents_do_not_count() -> None:
    assert rate([KILLED, SURVIVED, TIMEOUT, KILLED, "equivalent"])["percent"] == 50.0


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A repository with one module, of which one line is tested and one is not."""
    root = tmp_path / "house"
    (root / "mixopt" / "lab").mkdir(parents=True)
    (root / "tests" / "unit" / "lab").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    for package in ("mixopt", "mixopt/lab"):
        (root / package / "__init__.py").write_text("")
    (root / "mixopt" / "lab" / "a.py").write_text(
        "def seen(a):\n    return a < 2\n\n\ndef unseen(a):\n    return a and 'x'\n"
    )
    (root / "tests" / "unit" / "lab" / "test_a.py").write_text(
        "from mixopt.lab.a import seen\n\n\ndef test_seen():\n    assert seen(1) and not seen(2)\n"
    )
    return root


@pytest.mark.slow
def test_a_run_tells_what_lives_goes_on_and_leaves_the_tree_alone(house: Path) -> None:
    module = "mixopt/lab/a.py"
    text = (house / module).read_text()
    drawn = [m for m in mutants(module, text) if m.after in {"return a <= 2", "return a or 'x'"}]
    proof = Equivalent(module, "unseen", "return a and 'x'", "return a or 'x'", "Nobody calls it.")

    def run(*proofs: Equivalent) -> tuple[Record, list[str]]:
        said: list[str] = []
        record = Record.open(house / "record.json", proofs)
        Runner(house, workers=1, say=said.append).run(drawn, record)
        return record, said

    record, said = run()
    outcomes = {m.after: record.outcome(m) for m in drawn}
    assert outcomes == {"return a <= 2": KILLED, "return a or 'x'": SURVIVED}
    assert len(said) == 1 + len(drawn)
    summary = record.summary(drawn, {module: text})
    assert summary["rooms"]["lab"]["percent"] == 50.0
    assert "+    return a or 'x'" in summary["survivors"][0]["diff"]
    assert (house / module).read_text() == text
    assert json.loads((house / "record.json").read_text())["results"].keys() == {
        m.name for m in drawn
    }

    again, said = run(proof)
    assert said == []
    assert again.summary(drawn, {module: text})["total"]["percent"] == 100.0

    # A test that sees the survivor is a reason to ask again, and for this file's mutants alone.
    tests = house / "tests" / "unit" / "lab" / "test_a.py"
    tests.write_text(
        tests.read_text().replace("import seen", "import seen, unseen")
        + "\n\ndef test_unseen():\n    assert not unseen(0)\n"
    )
    record = Record.open(house / "record.json", ())
    said = []
    Runner(house, workers=1, alive=True, say=said.append).run(drawn, record)
    assert len(said) == 2, "the changed test file, and the one that lived"
    assert {record.outcome(m) for m in drawn} == {KILLED}


def test_tests_that_fail_by_themselves_kill_nothing(house: Path) -> None:
    (house / "tests" / "unit" / "lab" / "test_a.py").write_text("def test_a():\n    assert 0\n")
    module = "mixopt/lab/a.py"
    drawn = mutants(module, (house / module).read_text())
    with pytest.raises(RuntimeError, match="fails without any fault"):
        Runner(house, workers=1).run(drawn, Record(house / "record.json"))


@pytest.mark.slow
def test_a_test_run_that_hangs_is_ended(house: Path) -> None:
    module = "mixopt/lab/a.py"
    (house / module).write_text("def seen(a):\n    while a:\n        a -= 1\n    return not a\n")
    (house / "tests" / "unit" / "lab" / "test_a.py").write_text(
        "from mixopt.lab.a import seen\n\n\ndef test_seen():\n    assert seen(3)\n"
    )
    text = (house / module).read_text()
    drawn = [m for m in mutants(module, text) if m.after == "pass"]
    record = Record(house / "record.json")
    Runner(house, seconds=3, workers=1).run(drawn, record)
    assert [record.outcome(m) for m in drawn] == [TIMEOUT]
