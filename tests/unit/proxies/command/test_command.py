"""A command is foreign code: whatever it does, its run gets an answer and nothing else suffers."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from mixopt import lazy
from mixopt.errors import InputError
from mixopt.execution.local import run_pack
from mixopt.export import Facts, export
from mixopt.ports import Trainer
from mixopt.runs import Observation, Point, RunSpec, Scale, Schedule
from mixopt.space import Mixture
from mixopt.testing.trainer_contract import TrainerContract
from proxies.command import CommandTrainer, process
from proxies.command.trainer import DONE

SCALE = Scale(params=1000, tokens=800)
HEAD = """
import json, os, pathlib, signal, subprocess, sys, time
out = pathlib.Path(sys.argv[1])
calls = out.parent / "calls"
calls.write_text(calls.read_text() + "x" if calls.exists() else "x")
def write(tokens, **metrics):
    with open(out / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"tokens": tokens, **metrics}) + "\\n")
def final():
    write(800, web=2.0, code=1.5)
"""
ORPHAN = """
sleeper = [sys.executable, "-c", "import signal, time; signal.signal(15, lambda *_: 0);"
           "[time.sleep(60) for _ in range(60)]"]
pids = [os.getpid(), subprocess.Popen(sleeper).pid,
        subprocess.Popen(sleeper, start_new_session=True).pid]
(out.parent / "pids").write_text(" ".join(map(str, pids)))
"""
LINUX = sys.platform == "linux"


def spec(seed: int = 0, **weights: float) -> RunSpec:
    return RunSpec(Mixture.of(weights or {"web": 0.75, "code": 0.25}), SCALE, seed=seed)


def settings(tmp_path: Path, body: str, *arguments: str, **more) -> dict:
    """Settings of a trainer whose program is `body`; `{out}` is its first argument."""
    program = tmp_path / "program.py"
    program.write_text(HEAD + textwrap.dedent(body))
    return {
        "argv": [sys.executable, str(program), "{out}", *arguments],
        "domains": {"web": 8e9, "code": 1e9},
        "metrics": ["web", "code"],
        "grace": 0.3,
        **more,
    }


def make(tmp_path: Path, body: str, *arguments: str, **more) -> CommandTrainer:
    return CommandTrainer(**settings(tmp_path, body, *arguments, **more))


def train(trainer: Trainer, cache: Path, run: RunSpec | None = None) -> Observation:
    (seen,) = trainer.train([run or spec()], cache)
    return seen


def folder(cache: Path, run: RunSpec | None = None) -> Path:
    return cache / "commands" / (run or spec()).run_id


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if not LINUX:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def pids(cache: Path) -> list[int]:
    return [int(p) for p in (folder(cache) / "pids").read_text().split()]


class TestContract(TrainerContract):
    scale = SCALE
    runtime: ClassVar = {"timeout": 50.0, "grace": 0.1, "min_free_gb": 0.0, "resume": True}

    @pytest.fixture(autouse=True)
    def _write(self, tmp_path):
        body = """
        web, seed = float(sys.argv[2]), int(sys.argv[3])
        write(400, web=3 - web, code=2 + web)
        write(800, web=2 - web + 0.01 * seed, code=1 + web)
        """
        self._settings = settings(tmp_path, body, "{w:web}", "{seed}")

    def make(self, **more: Any) -> Any:
        return CommandTrainer(**(self._settings | more))


# -- what the command is told ----------------------------------------------------------------------


def test_a_command_that_is_given_the_schedule_is_trusted_with_it(tmp_path):
    body = """
    (out / "seen.json").write_text(sys.argv[2])
    final()
    """
    plain = make(tmp_path, body, "{weights_json}")
    told = make(tmp_path, body, "{schedule_json}")
    assert not plain.capabilities.schedules
    assert told.capabilities.schedules
    phases = ((300, Mixture.of({"web": 1.0})), (SCALE.tokens, Mixture.of({"code": 1.0})))
    spec = RunSpec.scheduled(Schedule(phases), SCALE)
    (refused,) = plain.train([spec], tmp_path)
    assert "has a schedule of 2 phases" in refused.error
    assert "{schedule_json}" in refused.error
    (seen,) = told.train([spec], tmp_path)
    assert seen.ok, seen.error
    assert seen.realised is None  # nobody knows what it drew
    written = json.loads((folder(tmp_path, spec) / "out" / "seen.json").read_text())
    assert written == [
        {"until": 300, "mixture": {"web": 1.0, "code": 0.0}},
        {"until": SCALE.tokens, "mixture": {"web": 0.0, "code": 1.0}},
    ]


def test_arguments_and_environment_are_filled_in_and_no_shell_sees_them(tmp_path):
    body = """
    seen = [sys.argv[2:], os.environ["RUN"], os.environ["PATH"]]
    (out / "seen.json").write_text(json.dumps(seen))
    final()
    """
    trainer = make(
        tmp_path,
        body,
        *("--web={w:web}", "{weights_json}", "{tokens}/{params}/{seed}", "$(touch hacked); *"),
        *('{"not": "ours"}', "{mixture_file}", "{metrics_file}"),
        env={"RUN": "run-{run_id}"},
    )
    run = spec(seed=3, web=0.75, code=0.25)
    assert train(trainer, tmp_path, run).ok
    arguments, name, path = json.loads((folder(tmp_path, run) / "out/seen.json").read_text())
    assert arguments[0] == "--web=0.750000000"
    assert json.loads(arguments[1]) == {"web": 0.75, "code": 0.25}
    assert arguments[2:5] == ["800/1000/3", "$(touch hacked); *", '{"not": "ours"}']
    assert json.loads(Path(arguments[5]).read_text()) == {"web": 0.75, "code": 0.25}
    assert arguments[6] == str(folder(tmp_path, run) / "out/metrics.jsonl")
    assert (name, path) == (f"run-{run.run_id}", os.environ["PATH"])


def test_the_mixture_is_written_in_the_format_of_the_program(tmp_path):
    body = "write(800, web=len(open(sys.argv[2]).read().split()), code=1)"
    paths = {"web": "/data/web_text", "code": "/data/code_text"}
    trainer = make(
        tmp_path,
        body,
        "{mixture_file}",
        mixture_file="blend.json",
        mixture_format="megatron",
        mixture_options={"paths": paths},
    )
    trainer.prepare(tmp_path)
    assert train(trainer, tmp_path).ok
    written = (folder(tmp_path) / "blend.json").read_text()
    assert written == export(spec().mixture, "megatron", Facts(paths=paths)).text
    assert "/data/web_text" in written
    with pytest.raises(InputError, match="no path is given"):
        make(tmp_path, body, mixture_format="megatron").prepare(tmp_path)


def test_a_domain_that_a_mixture_leaves_out_has_share_zero(tmp_path):
    trainer = make(tmp_path, "write(800, web=float(sys.argv[2]), code=1)", "{w:code}")
    assert train(trainer, tmp_path, spec(web=1.0)).metrics["web"] == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"argv": "train.sh --fast"}, "give a list"),
        ({"argv": ["echo", "{w:books}"]}, r"\{w:books\}.*known"),
        ({"argv": ["echo", "{token}"]}, "did you mean 'tokens'"),
        ({"argv": ["echo", 3]}, "put it in quotes"),
        ({"env": {"A": "{run}"}}, "unknown placeholder"),
        ({"metrics": []}, "metrics is empty"),
        ({"metrics_file": "../elsewhere.json"}, "without '..'"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": "1e3"}, "without quotes"),
        ({"timeouts": 5}, "did you mean 'timeout'"),
    ],
)
def test_settings_that_break_a_rule_are_refused_by_name(tmp_path, change, message):
    values = settings(tmp_path, "") | change
    with pytest.raises(InputError, match=message):
        lazy.build(CommandTrainer, values, "trainer")


def test_prepare_refuses_what_is_not_here(tmp_path):
    for change, message in (
        ({"argv": ["no-such-program"]}, "no program 'no-such-program'"),
        ({"cwd": str(tmp_path / "nowhere")}, "is no folder"),
        ({"mixture_format": "no-such-format"}, "no-such-format"),
    ):
        with pytest.raises(InputError, match=message):
            make(tmp_path, "", **change).prepare(tmp_path)


def test_prepare_tells_domains_and_metrics(tmp_path):
    info = make(tmp_path, "", data="v1").prepare(tmp_path)
    assert [(d.name, d.tokens) for d in info.domains] == [("web", 8e9), ("code", 1e9)]
    assert info.metrics == ("web", "code")
    assert info.data != make(tmp_path, "", data="v2").prepare(tmp_path).data


# -- what it answers -------------------------------------------------------------------------------


def test_metrics_and_curve_are_read_from_json_lines(tmp_path):
    body = """
    write(100, lr=0.1)
    write(200, web=3.0); write(200, code=2.5)
    write(400, web=2.5, code=2.0)
    final()
    """
    seen = train(make(tmp_path, body), tmp_path)
    assert (seen.status, seen.error) == ("ok", "")
    assert seen.metrics == {"web": 2.0, "code": 1.5}
    assert seen.curve == (
        Point(200, {"web": 3.0, "code": 2.5}),
        Point(400, {"web": 2.5, "code": 2.0}),
    )
    assert seen.flops == SCALE.flops
    assert seen.seconds > 0


def test_metrics_are_read_from_keys_inside_one_json_object(tmp_path):
    body = """
    values = {"eval": {"web": {"loss": 2}}, "eval/code": 1.5}
    (out / "result.json").write_text(json.dumps(values))
    """
    keys = {"web": "eval.web.loss", "code": "eval/code"}
    seen = train(make(tmp_path, body, metrics=keys, metrics_file="result.json"), tmp_path)
    assert (seen.metrics, seen.curve) == ({"web": 2.0, "code": 1.5}, ())


def test_points_are_reported_while_the_command_runs(tmp_path):
    body = """
    write(400, web=2.5, code=2.0)
    for _ in range(2000):
        if (out / "go").exists():
            final()
            sys.exit(0)
        time.sleep(0.05)
    sys.exit(9)
    """
    reported = []

    def report(run: RunSpec, point: Point) -> None:
        reported.append((run.run_id, point))
        (folder(tmp_path) / "out/go").touch()  # the command waits for this

    (seen,) = make(tmp_path, body).train([spec()], tmp_path, report)
    assert seen.ok, seen.error
    assert reported == [(spec().run_id, seen.curve[0])]


def test_a_finished_run_answers_from_disk_and_a_failed_one_is_tried_again(tmp_path):
    trainer = make(tmp_path, "final(); sys.exit(0 if len(calls.read_text()) > 1 else 3)")
    assert not train(trainer, tmp_path).ok
    first = train(trainer, tmp_path)
    again = train(make(tmp_path, "sys.exit(3)"), tmp_path)
    assert first.ok
    assert again == first
    assert (folder(tmp_path) / "calls").read_text() == "xx"


def test_a_broken_marker_means_the_run_is_trained_again(tmp_path):
    trainer = make(tmp_path, "final()")
    first = train(trainer, tmp_path)
    (folder(tmp_path) / DONE).write_text('{"spec": ')
    assert train(trainer, tmp_path).metrics == first.metrics
    assert (folder(tmp_path) / "calls").read_text() == "xx"


@pytest.mark.parametrize("resume", [True, False])
def test_resume_keeps_what_the_last_attempt_left(tmp_path, resume):
    body = """
    if not (out / "checkpoint").exists() and len(calls.read_text()) == 1:
        write(400, web=2.5, code=2.0)
        (out / "checkpoint").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    write(800, web=float((out / "checkpoint").exists()), code=1.0)
    """
    trainer = make(tmp_path, body, resume=resume)
    assert "killed" in train(trainer, tmp_path).error
    seen = train(trainer, tmp_path)
    assert seen.metrics["web"] == float(resume)
    assert len(seen.curve) == int(resume)


def test_output_is_removed_when_it_is_not_wanted(tmp_path):
    trainer = make(tmp_path, "(out / 'checkpoint').touch(); final()", keep_output=False)
    assert train(trainer, tmp_path).ok
    assert not (folder(tmp_path) / "out").exists()
    assert train(trainer, tmp_path).ok


# -- faults ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("print('loading'); print('no GPU here', file=sys.stderr); sys.exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", r"exit code 137 \(killed"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
        ("final(); sys.exit(1)", "exit code 1"),
        ("pass", "there is no .*metrics.jsonl"),
        ("(out / 'metrics.jsonl').write_text('<html>oops')", "'<html>oops' is no JSON object"),
        ("(out / 'metrics.jsonl').write_bytes(bytes(range(256)) * 99)", "no JSON object"),
        ("write(800, web=2.0)", "no number under 'code'"),
        ("write(800, web=2.0, code='best')", "no number under 'code'"),
        ("write(400, web=2.0); write(800, code=1.5)", "never stand together"),
        ("write(400, web=2.5, code=2.0)", "400 of 800 tokens"),
        ("write(800, web=float('nan'), code=1.5)", "'web' is nan: the run diverged"),
        ("write(800, web='Infinity', code=1.5)", "'web' is inf"),
    ],
)
def test_a_run_without_sound_metrics_fails_with_the_reason(tmp_path, body, message):
    seen = train(make(tmp_path, body), tmp_path)
    assert seen.status == "failed"
    assert seen.metrics == {}
    assert re.search(message, seen.error), seen.error
    assert not (folder(tmp_path) / DONE).exists()


def test_the_error_has_the_last_lines_of_the_output(tmp_path):
    body = """
    for step in range(100):
        print(f"step {step}", end="\\r")
    print("no GPU here", file=sys.stderr)
    sys.exit(3)
    """
    error = train(make(tmp_path, body), tmp_path).error
    assert "no GPU here" in error
    assert "step 99" in error
    assert "step 1\n" not in error


def test_a_broken_point_does_not_spoil_what_follows(tmp_path):
    body = """
    write(200, web=float("nan"), code=2.5)
    with open(out / "metrics.jsonl", "a") as file:
        file.write('{"tokens": 300, "we\\n')
    write(400, web=2.5, code=2.0)
    final()
    """
    seen = train(make(tmp_path, body), tmp_path)
    assert seen.ok
    assert [p.tokens for p in seen.curve] == [400]
    assert seen.info["bad_lines"] == 1


def test_one_failed_run_leaves_the_rest_of_the_pack(tmp_path):
    trainer = make(tmp_path, "final(); sys.exit(int(sys.argv[2]))", "{seed}")
    books = RunSpec(Mixture.of({"books": 1.0}), SCALE)
    seen = trainer.train([spec(seed=1), books, spec(seed=0)], tmp_path)
    assert [s.status for s in seen] == ["failed", "failed", "ok"]
    assert "no domain 'books'" in seen[1].error


def test_python_in_braces_is_the_one_that_mixopt_runs_in(tmp_path):
    body = "final(); (out.parent / 'python').write_text(sys.executable + sys.argv[2])"
    given = settings(tmp_path, body)
    given["argv"] = ["{python}", *given["argv"][1:], "{python}"]
    trainer = CommandTrainer(**given)
    assert trainer.prepare(tmp_path / "cache").warnings == ()
    (seen,) = trainer.train([spec()], tmp_path / "cache")
    assert seen.ok, seen.error
    (written,) = (tmp_path / "cache").rglob("python")
    assert written.read_text() == 2 * sys.executable


def test_another_python_than_that_of_mixopt_is_doubted_before_the_first_run(tmp_path, monkeypatch):
    other, own = tmp_path / "other", Path(sys.executable).parent
    other.mkdir()
    (other / "python3").symlink_to(sys.executable)
    trainer = CommandTrainer(**{**settings(tmp_path, "final()"), "argv": ["python3", "{out}"]})
    monkeypatch.setenv("PATH", str(other))
    (doubt,) = trainer.prepare(tmp_path / "cache").warnings
    assert all(part in doubt for part in (str(other), str(own), "'{python}'"))
    monkeypatch.setenv("PATH", str(own))
    assert trainer.prepare(tmp_path / "cache").warnings == ()


@pytest.mark.parametrize(
    ("argv", "doubt"),
    [
        (["{python}", "-c", "", "{tokens}"], "not told its mixture"),
        (["{python}", "-c", "", "{out}", "{mixture-file}"], "did you mean {mixture_file}?"),
        (["{python}", "gone.py", "{mixture_file}"], "there is no file 'gone.py' in "),
        (["{python}", "here.py", "{w:web}"], ""),
        (["{python}", "-c", "awk '{print $1}'", "--out={out}/x.py", "{weights_json}"], ""),
    ],
)
def test_arguments_that_tell_no_mixture_or_name_no_file_are_doubted(tmp_path, argv, doubt):
    (tmp_path / "here.py").touch()
    given = {**settings(tmp_path, ""), "argv": argv, "cwd": str(tmp_path)}
    doubts = CommandTrainer(**given).prepare(tmp_path / "cache").warnings
    assert len(doubts) == bool(doubt)
    assert all(doubt in one for one in doubts)


def test_a_program_that_vanished_fails_the_run(tmp_path):
    trainer = make(tmp_path, "", argv=[str(tmp_path / "gone"), "{out}"])
    assert "cannot start" in train(trainer, tmp_path).error


def test_a_hanging_command_is_ended_with_all_it_started(tmp_path, monkeypatch):
    hangs = folder(tmp_path) / "hangs"
    now = time.monotonic
    late = SimpleNamespace(monotonic=lambda: now() + 1000.0 * hangs.exists(), sleep=time.sleep)
    monkeypatch.setattr(process, "time", late)  # its time is up once it hangs, and not before
    body = ORPHAN + "\nprint('waiting', flush=True)\n(out.parent / 'hangs').touch()\n"
    seen = train(make(tmp_path, body + "time.sleep(3600)", timeout=1000.0), tmp_path)
    assert "timeout of 1000 s" in seen.error
    assert "waiting" in seen.error
    # sessions of their own can be followed on Linux alone
    ours = pids(tmp_path) if LINUX else pids(tmp_path)[:2]
    assert not [p for p in ours if alive(p)]


def test_what_a_command_leaves_behind_ends_with_it(tmp_path):
    seen = train(make(tmp_path, ORPHAN + "\nfinal()"), tmp_path)
    assert seen.ok
    ours = pids(tmp_path) if LINUX else pids(tmp_path)[:2]
    assert not [p for p in ours if alive(p)]


def test_a_killed_driver_leaves_no_orphan_and_the_next_attempt_waits_for_the_end(tmp_path):
    values = settings(tmp_path, ORPHAN + "\nfinal()\ntime.sleep(3600)")
    program = (
        "import json, sys; from pathlib import Path; from proxies.command import CommandTrainer; "
        "from mixopt.runs import RunSpec; values, run, cache = json.loads(sys.argv[1]); "
        "CommandTrainer(**values).train([RunSpec.from_dict(run)], Path(cache))"
    )
    arguments = json.dumps([values, spec().to_dict(), str(tmp_path)])
    with subprocess.Popen([sys.executable, "-c", program, arguments]) as driver:
        try:
            assert wait_for((folder(tmp_path) / "pids").exists)
            assert wait_for(lambda: len((folder(tmp_path) / "pids").read_text().split()) == 3)
        finally:
            driver.send_signal(signal.SIGKILL)
    first = pids(tmp_path) if LINUX else pids(tmp_path)[:2]
    body = "alive = [p for p in sys.argv[2].split() if os.path.exists('/proc/' + p)]\n"
    body += "write(800, web=len(alive), code=1)"
    seen = train(make(tmp_path, body, " ".join(map(str, first))), tmp_path)
    assert seen.ok, seen.error
    assert seen.metrics["web"] == 0, "the second attempt began before the first had ended"
    assert not [p for p in first if alive(p)]


def test_an_error_of_the_driver_ends_the_command(tmp_path):
    def report(run: RunSpec, point: Point) -> None:
        raise KeyboardInterrupt

    body = ORPHAN + "\nwrite(400, web=2.5, code=2.0)\ntime.sleep(3600)"
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, body).train([spec()], tmp_path, report)
    assert not alive(pids(tmp_path)[0])


def test_a_command_is_ended_before_it_fills_the_disk(tmp_path):
    seen = train(make(tmp_path, "time.sleep(60)", min_free_gb=1e9), tmp_path)
    assert "min_free_gb" in seen.error


def test_a_full_disk_loses_no_result(tmp_path, monkeypatch):
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("proxies.command.trainer.write_atomically", full)
    seen = train(make(tmp_path, "final()"), tmp_path)
    assert seen.metrics == {"web": 2.0, "code": 1.5}
    assert "No space left" in seen.info["not_kept"]


def test_a_flood_of_output_is_cut_and_its_end_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "LOG_BYTES", 100_000)
    body = """
    for _ in range(1000):
        print("x" * 5000)
    print("the end"); final(); sys.exit(4)
    """
    seen = train(make(tmp_path, body), tmp_path)
    assert seen.error.endswith("the end")
    assert len(seen.error) < 5000
    assert (folder(tmp_path) / "output.log").stat().st_size <= 100_000


def test_it_works_through_the_executor_by_name(tmp_path):
    config = settings(tmp_path, "final()")
    runtime = {"grace": config.pop("grace")}
    run = RunSpec(
        Mixture.of({"web": 1.0}),
        SCALE,
        trainer="proxies.command:CommandTrainer",
        config=json.loads(json.dumps(config)),
    )
    (seen,) = run_pack([run], tmp_path, runtime=runtime)
    assert seen.ok, seen.error
    assert isinstance(CommandTrainer(**config), Trainer)
