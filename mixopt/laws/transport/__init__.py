"""Optimal transport: how far a mixture's documents are from the text that is scored."""
