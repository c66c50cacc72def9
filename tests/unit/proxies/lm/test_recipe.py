import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.runs import Scale
from proxies.lm.model import PackedModel, Shape
from proxies.lm.recipe import LanguageModelConfig, derive

PLAIN = LanguageModelConfig()
FULL_AND_REDUCED = ("full", "reduced")


@settings(deadline=None)
@given(st.integers(20_000, 10**8), st.integers(100, 10**9))
def test_one_dial_decides_a_trainable_recipe(params: int, tokens: int):
    recipe = derive(Scale(params, tokens), 1024, PLAIN)
    # the ladder of widths is coarse at its lower end, never off by more than 2.5x
    assert 0.4 < recipe.shape.params / params < 2.5
    budget = max(tokens, recipe.shape.context)
    step = recipe.stages[-1][1] * recipe.shape.context
    assert abs(recipe.tokens - budget) <= step
    assert recipe.shape.width % recipe.shape.heads == 0


@settings(deadline=None)
@given(st.integers(150_000, 10**9))
def test_from_a_seventh_of_a_million_on_the_dial_is_right(params: int):
    shape = derive(Scale(params, 65_536), 1024, PLAIN).shape
    assert shape.params == pytest.approx(params, rel=0.23)
    assert 20 <= shape.width / shape.depth <= 48
    assert shape.width % (128 if shape.width >= 256 else 32) == 0


def test_who_names_a_width_gets_its_depth():
    shape = derive(Scale(10**6, 65_536), 1024, LanguageModelConfig(width=256)).shape
    assert (shape.width, shape.depth) == (256, 8)


def test_the_tiniest_size_is_the_measured_one():
    recipe = derive(Scale(163_840, 65_536), 1024, PLAIN)
    shape = recipe.shape
    assert (shape.width, shape.depth, shape.context, recipe.batch) == (64, 2, 64, 16)
    assert recipe.steps == 64
    assert recipe.flops == 6 * 163_840 * 65_536


def test_the_dial_reaches_a_billion():
    recipe = derive(Scale(10**9, 20 * 10**9), 1024, PLAIN)
    assert recipe.shape.params == pytest.approx(1e9, rel=0.1)
    batches = [batch * recipe.shape.context for _, batch in recipe.stages]
    # batches grow as the root of the tokens behind, a factor of two at a time
    assert batches == [1024 * 2**k for k in range(len(batches))]
    assert 2**16 <= batches[-1] <= 2**18
    assert recipe.rate_matrix == derive(Scale(10**6, 10**6), 1024, PLAIN).rate_matrix
    assert recipe.rate_head < derive(Scale(10**6, 10**6), 1024, PLAIN).rate_head / 8


def test_reduced_rates_are_a_tenth():
    scale = Scale(163_840, 65_536)
    full, reduced = (derive(scale, 1024, LanguageModelConfig(lr_mode=m)) for m in FULL_AND_REDUCED)
    for name in ("rate_embedding", "rate_head", "rate_matrix"):
        assert getattr(reduced, name) == pytest.approx(getattr(full, name) / 10)


def test_counted_parameters_are_those_multiplied_with_each_token():
    model = PackedModel(Shape(300, 64, 2, 2, 16, 128), [0], torch.device("cpu"), torch.float32)
    kinds = ("qkv", "mix", "up", "down")
    matrices = sum(model.stacks[kind].numel() for kind in kinds)
    assert matrices + model.head().numel() == model.shape.params


def test_rates_rise_stay_up_and_end_at_zero():
    recipe = derive(Scale(163_840, 65_536), 1024, PLAIN)
    factors = [recipe.rate_factor(step) for step in range(recipe.steps)]
    assert factors[0] < max(factors) == 1.0
    assert factors[recipe.branch] == 1.0
    assert 0 < factors[-1] < 0.03


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 50}, "multiple of 32"),
        ({"context": 0}, "context is 0"),
        ({"depth": 1.5}, "depth is 1.5"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"curve_points": 99}, "curve_points"),
        ({"lr_mode": "tiny"}, "lr_mode is 'tiny'"),
        ({"pack": 0}, "pack is 0"),
        ({"continue_to": -1}, "continue_to"),
        ({"branch_at": 0.5}, "branch_at is 0.5; give the tokens"),
        ({"decay": 0}, "decay is 0; give a number above 0"),
        ({"decay": 1.5}, "decay is 1.5"),
        ({"checkpoint_seconds": -1}, "checkpoint_seconds"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"bigrams": -1}, "bigrams"),
        ({"evaluation_tokens": 0}, "evaluation_tokens"),
    ],
)
def test_bad_settings_are_refused_with_a_remedy(settings, message):
    with pytest.raises(InputError, match=message):
        LanguageModelConfig(**settings)
