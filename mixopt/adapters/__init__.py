"""Bridges to libraries that users work with already: Optuna."""
