"""Registered versions: what a promotion leaves behind, and how it is named again."""
