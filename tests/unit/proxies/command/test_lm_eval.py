"""Results files of the lm-evaluation-harness, in the form that its version 0.4 writes."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from mixopt.errors import InputError
from mixopt.runs import RunSpec, Scale
from mixopt.space import Mixture
from proxies.command import CommandTrainer
from proxies.command.lm_eval import PATTERN, ResultsFiles

RESULTS = {
    "results": {
        "hellaswag": {
            "alias": "hellaswag",
            "acc,none": 0.2841,
            "acc_stderr,none": 0.0045,
            "acc_norm,none": 0.3127,
            "acc_norm_stderr,none": 0.0046,
        },
        "wikitext": {
            "alias": "wikitext",
            "bits_per_byte,none": 0.9971,
            "bits_per_byte_stderr,none": "N/A",
        },
        "gsm8k": {
            "alias": "gsm8k",
            "exact_match,strict-match": 0.01,
            "exact_match_stderr,strict-match": 0.002,
            "exact_match,flexible-extract": 0.02,
            "exact_match_stderr,flexible-extract": 0.003,
        },
        "mmlu": {"alias": "mmlu", "acc,none": float("nan"), "acc_stderr,none": 0.1},
    },
    "groups": {"mmlu": {}},
    "versions": {"hellaswag": 1.0},
    "n-shot": {"hellaswag": 0},
    "config": {"model": "hf", "limit": None},
}


def write(folder: Path, values: Any = RESULTS, name: str = "results_2026-11-27.json") -> Path:
    file = folder / "eval" / "my__model" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return file


def read(folder: Path, **keys: str) -> tuple[dict[str, float], str, dict[str, Any]]:
    files = ResultsFiles(folder, PATTERN, keys)
    scores, why = files.final()
    return scores, why, files.info


def test_scores_with_their_errors_come_by_task_and_metric(tmp_path: Path) -> None:
    write(tmp_path)
    scores, why, info = read(
        tmp_path,
        swag="hellaswag/acc_norm",
        wiki="wikitext/bits_per_byte,none",
        maths="gsm8k/exact_match,strict-match",
    )
    assert (scores, why) == ({"swag": 0.3127, "wiki": 0.9971, "maths": 0.01}, "")
    assert info["standard_error"] == {"swag": 0.0046, "maths": 0.002}
    facts = info["lm_eval"]["eval/my__model/results_2026-11-27.json"]
    assert facts == {"versions": {"hellaswag": 1.0}, "shots": {"hellaswag": 0}, "limit": None}


def test_of_a_task_that_stands_in_several_files_the_newest_counts(tmp_path: Path) -> None:
    old = write(tmp_path)
    newer = {"results": {"hellaswag": {"acc,none": 0.4, "acc_stderr,none": 0.01}}}
    new = write(tmp_path, newer, "results_2026-11-28.json")
    os.utime(old, ns=(1, 1))
    os.utime(new, ns=(2, 2))
    scores, why, _ = read(tmp_path, swag="hellaswag/acc", wiki="wikitext/bits_per_byte")
    assert (scores, why) == ({"swag": 0.4, "wiki": 0.9971}, "")


@pytest.mark.parametrize(
    ("values", "key", "said"),
    [
        (RESULTS, "helaswag/acc", "no task 'helaswag'.*did you mean 'hellaswag'"),
        (RESULTS, "hellaswag/accc", "no metric 'accc'.*acc,none"),
        (RESULTS, "hellaswag/acc_stderr", "no metric 'acc_stderr'"),
        (RESULTS, "gsm8k/exact_match", "several filters: .*strict-match.*name one of these"),
        (RESULTS, "mmlu/acc", "'acc,none' is nan, which is no number"),
        (RESULTS, "hellaswag/alias", "no metric 'alias'"),
        ("{", "hellaswag/acc", "cannot be read as JSON"),
        ("[" * 100_000, "hellaswag/acc", "cannot be read as JSON"),
        ([], "hellaswag/acc", "no results file of the lm-evaluation-harness"),
        ({"results": [1]}, "hellaswag/acc", "no results file of the lm-evaluation-harness"),
        ({"results": {"hellaswag": 0.3}}, "hellaswag/acc", "no 'results' by task"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(
    values: Any, key: str, said: str, tmp_path: Path
) -> None:
    write(tmp_path, values)
    files = ResultsFiles(tmp_path, PATTERN, {"score": key})
    scores, why = files.final()
    assert scores == {}
    assert re.search(said, why), why


def test_no_file_says_how_to_make_one(tmp_path: Path) -> None:
    _, why, _ = read(tmp_path, swag="hellaswag/acc")
    assert "--output_path {out}/eval" in why


def trainer(**more: Any) -> CommandTrainer:
    program = (
        "import pathlib, sys; file = pathlib.Path(sys.argv[1]) / 'm' / 'results_1.json'; "
        "file.parent.mkdir(parents=True); file.write_text(sys.argv[2])"
    )
    settings: dict[str, Any] = {
        "argv": [sys.executable, "-c", program, "{out}/eval", json.dumps(RESULTS)],
        "domains": {"web": 8e9, "code": 1e9},
        "metrics": {"swag": "hellaswag/acc_norm", "wiki": "wikitext/bits_per_byte"},
        "metrics_format": "lm-eval",
    }
    return CommandTrainer(**settings | more)


def test_a_command_that_ends_with_the_harness_has_its_scores(tmp_path: Path) -> None:
    run = RunSpec(Mixture.of({"web": 0.75, "code": 0.25}), Scale(params=1000, tokens=800))
    (seen,) = trainer().train([run], tmp_path)
    assert seen.metrics == {"swag": 0.3127, "wiki": 0.9971}
    assert (seen.curve, seen.info["standard_error"]) == ((), {"swag": 0.0046})
    (failed,) = trainer(metrics={"x": "wikitext/acc"}, data="2").train(
        [RunSpec(run.mixture, run.scale, seed=1)], tmp_path
    )
    assert not failed.ok
    assert "no metric 'acc'" in failed.error


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"metrics_format": "lm_eval"}, "did you mean 'lm-eval'"),
        ({"metrics": ["acc"]}, "'acc' names no score; write task/metric"),
        ({"argv": ["x", "{metrics_file}"]}, "--output_path {out}/eval"),
        ({"metrics_file": "../*.json"}, "without '..'"),
    ],
)
def test_settings_that_cannot_work_are_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        trainer(**more)
    assert said in str(error.value)
