import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.runs import Scale
from proxies.lm.model import LanguageModel, Shape
from proxies.lm.recipe import LanguageModelConfig, derive

PLAIN = LanguageModelConfig()


@settings(deadline=None)
@given(st.integers(20_000, 10**8), st.integers(100, 10**9))
def test_one_dial_decides_a_trainable_recipe(params: int, tokens: int):
    recipe = derive(Scale(params, tokens), 1024, PLAIN)
    # the ladder of widths is coarse at its lower end, never off by more than 2.5x
    assert 0.4 < recipe.shape.params / params < 2.5
    budget = max(tokens, recipe.shape.context)
    step = recipe.batch * recipe.shape.context
    assert abs(recipe.tokens - budget) <= step
    assert recipe.shape.width % recipe.shape.heads == 0


def test_the_tiniest_size_is_the_measured_one():
    recipe = derive(Scale(163_840, 65_536), 1024, PLAIN)
    shape = recipe.shape
    assert (shape.width, shape.depth, shape.context, recipe.batch) == (64, 2, 64, 16)
    assert recipe.steps == 64
    assert recipe.flops == 6 * 163_840 * 65_536


def test_counted_parameters_are_those_multiplied_with_each_token():
    model = LanguageModel(Shape(300, 64, 2, 2, 16, 128), torch.Generator().manual_seed(0))
    matrices = sum(p.numel() for p in model.matrices())
    assert matrices + model.head.numel() == model.shape.params


def test_rates_rise_and_end_at_zero():
    recipe = derive(Scale(163_840, 65_536), 1024, PLAIN)
    factors = [recipe.rate_factor(step) for step in range(recipe.steps)]
    assert factors[0] < max(factors) <= 1
    assert 0 < factors[-1] < 0.02


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 50}, "multiple of 32"),
        ({"context": 0}, "context is 0"),
        ({"depth": 1.5}, "depth is 1.5"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"curve_points": 99}, "curve_points"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"bigrams": -1}, "bigrams"),
        ({"evaluation_tokens": 0}, "evaluation_tokens"),
    ],
)
def test_bad_settings_are_refused_with_a_remedy(settings, message):
    with pytest.raises(InputError, match=message):
        LanguageModelConfig(**settings)
