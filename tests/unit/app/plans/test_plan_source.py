"""Where plans come from, and what is known of the data."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mixopt import InputError, Mixture, Schedule
from mixopt.app.commands import app
from mixopt.app.plans import compiling
from mixopt.app.plans.manifest import Told, facts_of, pairs, read_manifest, settings
from mixopt.app.plans.plan_source import PlanSource, plan_of, read_source
from mixopt.app.plans.writing import write_together
from mixopt.export import EXPORTERS, Facts, export

MIXTURE = Mixture.of({"web": 0.7, "code": 0.3})
SCHEDULE = Schedule(((600, MIXTURE), (1000, Mixture.of({"web": 0.2, "code": 0.8}))))


def run(*arguments: str) -> str:
    """What a command prints on standard output."""
    done = CliRunner().invoke(app, list(arguments))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mixture.json"
    path.write_text(json.dumps(MIXTURE.to_dict()))
    return path


# -- plans -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [MIXTURE, SCHEDULE], ids=["mixture", "schedule"])
def test_what_export_writes_is_read_back(plan, tmp_path):
    about = {"provenance": {"sweep": "x"}, "predictions": {"loss": {"mean": 2.0}}}
    path = tmp_path / "plan.json"
    path.write_text(export(plan, "json", about=about).text)
    source = read_source(str(path))
    assert source.plan == plan
    assert source.about == about
    assert plan_of(SCHEDULE.to_dict()) == SCHEDULE
    assert plan_of(MIXTURE.to_dict()) == MIXTURE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[1]", r"holds \[1\]; give what"),
        ('{"web": "much"}', "no shares by domain"),
        ('{"web": true, "code": 0}', "no shares by domain"),
        ('{"web": 0.7, "code": 0.7}', "shares sum to 1.4; give shares that sum to 1"),
        ('{"web": 0.5, "web": 0.5, "code": 0.5}', "'web' is given twice"),
        ('{"schema": "mixopt.mixture", "version": 2}', "version 2, and this mixopt reads"),
        ('{"schema": "mixopt.token_plan", "version": 1}', "is mixopt.token_plan version 1"),
        ('{"phases": [{"until": 5}]}', "cannot read a schedule"),
        (
            '{"schema": "mixopt.mixture", "version": 1, "weights": {"a": 1}, "schedule": [{}]}',
            "its schedule has another form",
        ),
    ],
)
def test_json_that_holds_no_plan_is_refused(text, message, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_source(str(path))
    with pytest.raises(InputError, match="cannot read"):
        read_source(str(tmp_path / "absent.json"))


# -- facts -----------------------------------------------------------------------------------------


def test_the_command_line_is_over_the_manifest_and_that_over_the_source(tmp_path):
    manifest = tmp_path / "data.yaml"
    manifest.write_text(
        "tokenizer: ours\ndomains:\n"
        "  web: {tokens: 1T, documents: 1B, path: /m/web}\n"
        "  code: {tokens: 2G, documents: 8M, paths: [/m/a, /m/b], bytes: 8G}\n"
    )
    paths = tmp_path / "paths.json"
    paths.write_text('{"web": "/f/web"}')
    source = PlanSource(
        MIXTURE, paths={"web": "/s/web"}, unique={"web": 5.0}, tokens=7, max_epochs={"web": 1.0}
    )
    told = Told(
        path=["code=/c/code"],
        paths=paths,
        manifest=manifest,
        unique=["code=3G"],
        max_epochs=["4", "web=2"],
        batch_tokens="4M",
    )
    facts = facts_of(source, told)
    assert facts.paths == {"web": "/f/web", "code": "/c/code"}
    assert facts.unique == {"web": 10**12, "code": 3 * 10**9}
    assert facts.tokens_per_example == {"web": 1000.0, "code": 250.0}
    assert facts.measured.startswith("the manifest (tokenizer ours)")
    assert (facts.tokens, facts.batch_tokens, facts.tokenizer) == (7, 4 * 10**6, "ours")
    assert (facts.allowed("web"), facts.allowed("code")) == (2.0, 4.0)
    assert read_manifest(manifest).tokens_per_byte == {"code": 0.25}
    said = facts_of(source, Told(tokens_per_example=["web=10", "code=20"]))
    assert (said.measured, said.max_epochs) == ("", {"web": 1.0})


def test_a_corpus_manifest_names_its_shards(tmp_path):
    path = tmp_path / "manifest.json"
    entry = {"file": "train-000.npy", "tokens": 1000, "documents": 4, "bytes": 2000}
    path.write_text(json.dumps({"train": {"web": entry}, "tokenizer": {"sha256": "ab" * 32}}))
    manifest = read_manifest(path)
    assert manifest.paths == {"web": str(tmp_path / "train-000.npy")}
    assert manifest.tokens_per_example == {"web": 250.0}
    assert manifest.tokenizer == "sha256 abababababababab"


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"path": ["wbe=/d"]}, "--path: no domain 'wbe'; .*did you mean 'web'"),
        ({"path": ["web"]}, "--path 'web': write it as NAME=VALUE"),
        ({"path": ["web=a", "web=b"]}, "'web' is given twice"),
        ({"unique": ["web=lots"]}, "--unique web: 'lots' is no count"),
        ({"tokens": "1.5"}, "--tokens is '1.5'; give a whole number"),
        ({"max_epochs": ["1", "2"]}, "--max-epochs is given 2 times"),
        ({"manifest": Path("/absent.json")}, "cannot read /absent.json"),
    ],
)
def test_what_cannot_be_read_is_refused(told, message):
    with pytest.raises(InputError, match=message):
        facts_of(PlanSource(MIXTURE), Told(**told))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1", "YAML"),
        ("domains: {web: {tokens: 1}, web: {tokens: 2}}", "line 1: .*web.*twice"),
        ("3", "holds 3"),
        ("a: 1", "names no domains"),
        ("domains: {web: {tokens: x}}", "tokens of domain 'web'"),
        ("domains: {web: {path: 3}}", "path of domain 'web' is 3"),
    ],
)
def test_a_manifest_of_another_form_is_refused(text, message, tmp_path):
    path = tmp_path / "data.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_manifest(path)


@pytest.mark.parametrize("option", ["manifest", "paths"])
def test_a_file_of_other_domains_is_refused_and_one_of_more_is_not(option, tmp_path):
    def facts(*names: str) -> Facts:
        path = tmp_path / "data.json"
        entry = {"path": "/d"} if option == "manifest" else "/d"
        values = dict.fromkeys(names, entry)
        path.write_text(json.dumps({"domains": values} if option == "manifest" else values))
        return facts_of(PlanSource(MIXTURE), Told(**{option: path}))

    assert facts("web", "code", "books").paths["web"] == "/d"
    assert set(facts("web", "books").paths) == {
        "web",
        "books",
    }  # a part: formats say what they need
    with pytest.raises(InputError, match=f"--{option} .* has no domain 'web' of .*, but books"):
        facts("books")
    with pytest.raises(InputError, match="no domain 'code' of the mixture, but Code; write"):
        facts("web", "Code")


def test_plans_are_read_from_yaml_as_from_json(tmp_path):
    path = tmp_path / "mixture.yaml"
    path.write_text("web: 0.7\ncode: 0.3\n")
    assert read_source(str(path)).plan == MIXTURE
    path.write_text(export(SCHEDULE, "json").text)
    assert read_source(str(path)).plan == SCHEDULE
    path.write_text("web: 0.7\nweb: 0.3\n")
    with pytest.raises(InputError, match="twice"):
        read_source(str(path))
    path.write_text("version: 1\nname: x\n")
    with pytest.raises(InputError, match="trainer: missing"):
        read_source(str(path))


def test_options_may_be_given_by_domain():
    assert settings(["style=args", "valid.web=/v/web", "valid.code=/v=1"]) == {
        "style": "args",
        "valid": {"web": "/v/web", "code": "/v=1"},
    }
    assert pairs(None, "--set") == {}
    with pytest.raises(InputError, match="not both"):
        settings(["valid=x", "valid.web=/v"])


# -- files -----------------------------------------------------------------------------------------


def test_all_files_are_written_or_none(tmp_path):
    files = {"a.json": "1", "realised_plan.json": "2"}
    write_together(tmp_path / "new", files)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(files)
    (tmp_path / "there" / "realised_plan.json").mkdir(parents=True)
    with pytest.raises(InputError, match="it is a folder"):
        write_together(tmp_path / "there", files)
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["realised_plan.json"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to"):
        write_together(tmp_path / "file", files)


# -- commands --------------------------------------------------------------------------------------


def test_the_list_names_every_format_and_a_description_every_option():
    text = run("export", "--list")
    assert all(f"\n{name}" in text for name in EXPORTERS)
    described = run("export", "--describe", "-f", "levanter")
    for words in ("sequences of one length", "mixture_block_size", "in one file", "0.000488"):
        assert words in described
    assert "composable" in run("export", "--describe", "-f", "olmo-core")
    with pytest.raises(InputError, match="no version '9'"):
        run("export", "--describe", "-f", "olmo-core", "--version", "9")


def test_an_export_writes_its_realised_plan_beside_it(file, tmp_path):
    paths = ("--path", "web=/d/web", "--path", "code=/d/code")
    out = tmp_path / "out" / "blend.txt"
    run("export", str(file), "-f", "megatron", *paths, "--set", "style=args", "-o", str(out))
    assert out.read_text() == "0.7 /d/web 0.3 /d/code\n"
    realised = json.loads((out.parent / "realised_plan.json").read_text())
    assert realised["files"] == ["blend.txt"]
    assert run("export", str(file), "-f", "csv").splitlines()[1] == "1,,web,0.7"
    with pytest.raises(InputError, match="no path is given"):
        run("export", str(file), "-f", "nemo", "-o", str(tmp_path / "not" / "x.json"))
    assert not (tmp_path / "not").exists()
    with pytest.raises(InputError, match="no source is given"):
        run("export")


def test_a_mixture_is_compiled_with_an_order(file, tmp_path):
    plan, order = tmp_path / "plan.json", tmp_path / "order.jsonl"
    told = ("--tokens", "10k", "--block", "1k", "--unique", "web=4k", "--max-epochs", "2")
    run("compile", str(file), *told, "-o", str(plan), "--order", str(order))
    blocks = [json.loads(line) for line in order.read_text().splitlines()]
    assert [b["domain"] for b in blocks].count("web") == 7
    assert {b["index"] for b in blocks if b["domain"] == "web" and b["epoch"] == 0} == {0, 1, 2, 3}
    assert json.loads(plan.read_text())["domains"]["web"]["epochs"] == 1.75
    with pytest.raises(InputError, match="an order has blocks, whose size is not given"):
        run("compile", str(file), "--tokens", "10k", "--order", str(order))
    with pytest.raises(InputError, match="no --target-tokenizer"):
        run("compile", str(file), "--tokens", "10k", "--sample", "web=x.txt")


def test_shares_are_converted_by_what_a_manifest_says_of_bytes(file, tmp_path, monkeypatch):
    # A token of the target is 2 bytes of web and 4 of code; of the mixture's, 4 and 4.
    measured = {"web": 0.5, "code": 0.25}
    monkeypatch.setattr(compiling, "tokens_per_byte", lambda tokenizer, samples: measured)
    manifest = tmp_path / "data.json"
    sizes = {"tokens": 1000, "bytes": 4000, "documents": 10}
    manifest.write_text(json.dumps({"domains": {"web": sizes, "code": sizes}}))
    how = compiling.Tokenizers(tmp_path / "t.json", None, ["web=w.txt", "code=c.txt"])
    plan = compiling.compile_source(str(file), Told(manifest=manifest, tokens="17k"), None, how)
    assert {d: p.tokens for d, p in plan.domains.items()} == {"web": 14_000, "code": 3000}
    assert plan.domains["web"].epochs == 7.0  # of 2000 tokens now
    assert plan.domains["web"].documents == 70  # of 200
    with pytest.raises(InputError, match="how many bytes a token of the mixture has"):
        compiling.compile_source(str(file), Told(tokens="17k"), None, how)


def test_facts_stand_beside_options_in_a_spec():
    facts, options = Facts.split({"paths": {"web": "/d"}, "tokens": 5, "style": "args"})
    assert (facts.paths, facts.tokens, options) == ({"web": "/d"}, 5, {"style": "args"})
