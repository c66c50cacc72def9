"""The proxy language model: model, recipe, data order, training, evaluation."""

from proxies.lm.recipe import LanguageModelConfig, Recipe, derive
from proxies.lm.trainer import LanguageModelTrainer

__all__ = ["LanguageModelConfig", "LanguageModelTrainer", "Recipe", "derive"]
