"""`FineTuneTrainer`: supervised fine-tuning of a Hugging Face model on instruction sets."""

from proxies.finetune.trainer import FineTuneTrainer

__all__ = ["FineTuneTrainer"]
