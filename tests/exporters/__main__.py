"""Do the frameworks read what the exporters write? Each in an environment of its own.

`make exporters` (or `python -m tests.exporters [NAME ...]`) writes a mixture in each format, gives
it to the framework's own reader in a fresh environment under `.venv-exporters`, lets it draw, and
compares the shares of tokens with those that were promised. It needs a network, and no GPU.
"""

import json
import math
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass, field
from pathlib import Path

from mixopt import Mixture
from mixopt.export import Facts, export

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent.parent / ".venv-exporters"
SHARES = Mixture.of({"web": 0.7, "code": 0.3})
LENGTHS = {"web": 40.0, "code": 10.0}
ROWS = {"web": 8000, "code": 16_000}
SIGMAS = 4.0
TORCH = "torch==2.13.0"


@dataclass(frozen=True)
class Framework:
    """A framework, and the export that it is to read.

    Attributes:
        packages: installed, with their versions.
        format: that is written.
        version: of it.
        options: of it.
        suffix: of a domain's data: a file, or a folder where it is empty.
        random: it draws at random; else in turn.
        tokens: of the run, which decides on repetition.
    """

    packages: tuple[str, ...]
    format: str
    version: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    suffix: str = ".jsonl"
    random: bool = True
    tokens: int | None = None


FRAMEWORKS = {
    "datasets": Framework(("datasets==5.2.0",), "hf-datasets"),
    "grain": Framework(("grain==0.2.18",), "maxtext", random=False),
    "litdata": Framework(
        ("litdata==0.2.76", TORCH), "litdata", options={"unit": "examples"}, suffix=""
    ),
    "olmo_core": Framework(
        ("ai2-olmo-core==3.0.0", TORCH), "olmo-core", suffix=".npy", random=False, tokens=500_000
    ),
    "streaming": Framework(
        ("mosaicml-streaming==0.13.0", "torch==2.12.1", "torchvision==0.27.1"),
        "streaming",
        suffix="",
        random=False,
    ),
    "torchtitan": Framework(("torchtitan==0.3.0", TORCH), "torchtitan", version="0.3.0"),
    "trl": Framework(("trl==1.16.0", TORCH), "trl", random=False),
}


def write(folder: Path, framework: Framework) -> dict[str, float]:
    """Data and mixture files; the share of tokens of each domain that they shall give."""
    for domain, rows in ROWS.items():
        text = f"{domain} " * int(LENGTHS[domain])
        row = json.dumps({"domain": domain, "text": text})
        (folder / f"{domain}.jsonl").write_text(f"{row}\n" * rows)
    facts = Facts(
        paths={d: str(folder / f"{d}{framework.suffix}") for d in SHARES.domains},
        tokens_per_example=LENGTHS,
        unique={d: LENGTHS[d] * rows for d, rows in ROWS.items()},
        tokens=framework.tokens,
        seed=5,
    )
    written = export(
        SHARES, framework.format, facts, version=framework.version, **framework.options
    )
    for name, text in written.all_files.items():
        (folder / name).write_text(text)
    return {d: values["share"] for d, values in written.realised["domains"].items()}


def environment(name: str, packages: tuple[str, ...]) -> Path:
    """The Python of an environment that holds packages."""
    folder = ENVIRONMENTS / name
    python, stamp = folder / "bin" / "python", folder / "packages.json"
    wanted = json.dumps(packages)
    if not stamp.is_file() or stamp.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        stamp.write_text(wanted)
    return python


def check(name: str, framework: Framework) -> tuple[bool, str]:
    """Whether the framework draws the shares, and the numbers in words."""
    python = environment(name, framework.packages)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        asked = write(folder, framework)
        script = HERE / "frameworks" / f"{name}.py"
        run = subprocess.run(
            [python, script, folder], capture_output=True, text=True, check=False, timeout=900
        )
    if run.returncode:
        return False, run.stderr.strip().splitlines()[-1]
    drawn = json.loads(run.stdout.splitlines()[-1])
    tokens, n = drawn["tokens"], drawn["draws"]
    share = tokens["web"] / sum(tokens.values())
    p = asked["web"]
    sd = math.sqrt(p * (1 - p) / n) if framework.random else 1.5 / n
    words = f"web {share:.4f} for {p:.4f} asked, {n} draws, sd {sd:.1g}"
    return abs(share - p) <= SIGMAS * sd, words


def main(names: list[str]) -> int:
    """Try each, and say what came out; the status is 1 where one failed."""
    failed = False
    for name in names or FRAMEWORKS:
        framework = FRAMEWORKS[name]
        well, words = check(name, framework)
        failed = failed or not well
        print("ok  " if well else "FAIL", f"{name:<11}", framework.packages[0], words, flush=True)  # noqa: T201
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
