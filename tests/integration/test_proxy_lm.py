"""The built-in corpus, at a small cap, through the trainer port."""

import pytest

from mixopt.runs import RunSpec, Scale
from mixopt.space import Mixture
from proxies import LanguageModelTrainer


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_real_text_to_bits_per_byte(tmp_path):
    trainer = LanguageModelTrainer(
        max_bytes=150_000, max_validation_bytes=40_000, vocab=512, curve_points=1
    )
    info = trainer.prepare(tmp_path)
    names = {domain.name for domain in info.domains}
    assert "python" in names  # the standard library is always there
    assert set(info.metrics) >= names
    for records in info.notes["sources"].values():
        for record in records:
            assert {"name", "version", "licence", "files", "bytes", "sha256"} <= set(record)
    if not {"apidocs", "wiki_en"} <= names or "code_target" not in info.metrics:
        pytest.skip("the packages behind apidocs, wiki_en or code_target are not installed")
    scale = Scale(params=163_840, tokens=32_768)
    mixtures = [{"python": 0.7, "apidocs": 0.3}, {"wiki_en": 1.0}]
    code, wiki = trainer.train(
        [RunSpec(Mixture.of(m), scale, data=info.data) for m in mixtures], tmp_path
    )
    assert code.ok
    assert wiki.ok
    assert code.metrics["code_target"] < wiki.metrics["code_target"] - 0.3
    assert wiki.metrics["wiki_en"] < code.metrics["wiki_en"] - 0.3
