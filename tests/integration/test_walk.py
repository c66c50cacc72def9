"""The README's first walk, command by command: from a folder of text to a file for a trainer."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from sandbox import mixopt

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(300)]

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
WORDS = {
    "web": "the people of news said that market today",
    "code": "def return import for while class self print",
    "valid": "def class the self people return news of",
}


def commands() -> list[list[str]]:
    part = README[README.index("From a folder of text") : README.index("The spec can grow")]
    lines = [line.partition("#")[0] for line in part.splitlines() if "mixopt " in line]
    return [shlex.split(line)[1:] for line in lines if line.startswith("    ")]


def test_a_folder_of_text_becomes_a_mixture_for_a_trainer(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, words in WORDS.items():
        (tmp_path / "my-data" / name).mkdir(parents=True)
        for number in range(40):
            lines = [" ".join(rng.choice(words.split(), 12)) for _ in range(20)]
            (tmp_path / "my-data" / name / f"{number}.txt").write_text("\n".join(lines))
    init, check, run, export = (line for line in commands() if line[0] != "domains")
    said = mixopt(*init, cwd=tmp_path).stderr
    assert re.search(r"web: .* bytes of text .* in 40 files", said)
    assert "Read it, then: " in said

    # What a stranger may change after reading: smaller and fewer runs, for the sake of this test.
    file = tmp_path / "experiments" / "my-data" / "spec.yaml"
    spec = yaml.safe_load(file.read_text())
    assert spec["objective"] == {"minimize": "valid"}
    spec["scales"] = [{"params": "20k", "tokens": 4096}]
    spec["strategy"] |= {"design": 6, "proposals": 2, "batch": 2, "confirm_seeds": 2}
    spec["trainer"]["config"] |= {"width": 32, "context": 32, "batch": 4, "vocab": 300}
    file.write_text(yaml.safe_dump(spec))

    planned = mixopt(*check, cwd=tmp_path).stdout
    assert "runs at most; nothing was trained" in planned
    assert not (tmp_path / "runs" / "my-data").exists()
    done = mixopt(*run, cwd=tmp_path)
    assert "Recommended mixture" in done.stdout
    report = tmp_path / "runs" / "my-data" / "report.html"
    assert report.stat().st_size > 10_000

    # The next step is one that was printed, and the file it gives is Python that runs.
    assert "export runs/my-data" in done.stdout
    mixopt(*export, cwd=tmp_path)
    text = (tmp_path / "mixture.py").read_text()
    compile(text, "mixture.py", "exec")
    assert "web" in text
    refused = mixopt("promote", "experiments/my-data", "--dry-run", cwd=tmp_path, ok=False)
    assert "write a section 'promotion' into its spec.yaml" in refused.stderr
