"""`mixopt tokenize`: on Ray and in this process the same bytes, which a spec then names."""

import json
from pathlib import Path

import pytest
import yaml
from sandbox import mixopt

from proxies.corpus.tokenizer import train_tokenizer

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(180)]


def test_shards_written_on_ray_are_those_written_here_and_go_into_a_spec(tmp_path: Path) -> None:
    texts = [f"robin {i} heron {i * 7} finch" * 20 for i in range(120)]
    for name in ("web", "code"):
        (tmp_path / name).mkdir()
        for part in range(3):
            rows = [json.dumps({"text": f"{name} {text}"}) for text in texts[part::3]]
            (tmp_path / name / f"{part}.jsonl").write_text("\n".join(rows))
    (tmp_path / "tokenizer.json").write_text(train_tokenizer({"a": texts}, 300).to_str())
    given = ("tokenize", "web=web", "code=code", "--tokenizer", "tokenizer.json", "--out")
    on_ray = mixopt(*given, "ray", cwd=tmp_path)
    assert "2 of 2 shards" in on_ray.stderr
    mixopt(*given, "here", "--use", "local", cwd=tmp_path)
    files = {p.relative_to(tmp_path / "ray") for p in (tmp_path / "ray").glob("*/*_document.*")}
    assert len(files) == 6
    for file in files:
        assert (tmp_path / "ray" / file).read_bytes() == (tmp_path / "here" / file).read_bytes()

    config = yaml.safe_load(on_ray.stdout)
    config |= {"vocab": 300, "context": 16, "width": 32, "bigrams": 0, "batch": 4}
    spec = {
        "version": 1,
        "name": "tokens",
        "trainer": {"use": "proxies:LanguageModelTrainer", "config": config},
        "scales": [{"params": 20_000, "tokens": 1024}],
        "objective": {"minimize": ["web"]},
        "strategy": {"use": "random", "runs": 2},
        "execution": {"use": "local"},
    }
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    checked = mixopt("check", "spec.yaml", cwd=tmp_path)
    assert "web" in checked.stdout + checked.stderr

    missing = mixopt(*given, "ray", "--use", "lcoal", cwd=tmp_path, ok=False)
    assert "did you mean 'local'" in missing.stderr
