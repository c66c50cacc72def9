"""How often confirmations are wrong, on few of them."""

import json
from pathlib import Path

from analysis import seed_noise


def test_a_loud_baseline_costs_power_when_noise_is_pooled(tmp_path: Path, capsys) -> None:
    out = tmp_path / "out.json"
    assert seed_noise.main(["--confirmations", "40", "--seeds", "5", "--json", str(out)]) == 0
    records = json.loads(out.read_text())
    assert len(records) == len(seed_noise.CASES) * len(seed_noise.RULES)
    loud = {r["rule"]: r for r in records if r["case"] == "one baseline 5 times as loud"}
    assert loud["partly pooled"]["power"][0] > 0.4 + loud["pooled"]["power"][0]
    assert "partly pooled" in capsys.readouterr().out
