"""The experiments: each spec passes the checks of `mixopt check`, each study is in the gallery."""

import re
from pathlib import Path

import pytest

from mixopt import MixtureSpace
from mixopt.app.running import checks, demands
from mixopt.app.spec.spec_file import read_spec
from mixopt.strategies import Problem

ROOT = Path(__file__).parent.parent
FOLDERS = sorted(folder for folder in (ROOT / "experiments").iterdir() if folder.is_dir())
SPECS = sorted((ROOT / "experiments").rglob("*.yaml"))
DOMAINS = ("python", "apidocs", "cpp", "js", "wiki_en", "wiki_fr", "oratory")


@pytest.mark.parametrize("path", SPECS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_spec_is_one_that_could_be_run(path: Path) -> None:
    spec = read_spec(path)
    recipe, trainer = checks.make_strategy(spec), checks.make_trainer(spec)
    demands.check_knobs(spec, recipe)
    demands.check_warm_start(spec, recipe)
    demands.check_able(spec, recipe, trainer)
    demands.check_nodes(spec, trainer)
    assert spec.question
    given = spec.trainer.config.get("domains", "builtin")
    names = DOMAINS if given == "builtin" else tuple(given)
    sets = set(spec.trainer.config.get("validation", ()))
    texts = re.findall(r"builtin:(\w+)", str(given)) or names
    if f"data/{path.parent.name}/" not in str(given):  # which a script of ours has made
        assert set(texts) <= set(DOMAINS)
    space = MixtureSpace({name: 1e6 * (i + 1) for i, name in enumerate(names)})
    demands.check_guards(spec, space)
    objective = spec.make_objective()
    assert set(objective.needed) <= {*names, *sets, "code_target"}
    config = spec.trainer.config
    problem = Problem(space, objective, spec.make_scales(), trainer=spec.trainer.use, config=config)
    assert len(recipe.planned(problem)) > 10


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_study_says_what_was_asked_found_and_decided(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    for part in ("Question", "Setup", "Result", "Decision"):
        assert re.search(rf"(\*\*{part}s?\b|^## {part})", text, re.MULTILINE), part
    for other in folder.glob("*.yaml"):
        assert other.stem == "spec" or other.stem in text, other.name
    gallery = (ROOT / "docs" / "guide" / "experiments.md").read_text(encoding="utf-8")
    assert f"(../../experiments/{folder.name}/README.md)" in gallery
