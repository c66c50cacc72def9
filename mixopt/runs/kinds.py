"""Why a run was asked for."""

CONFIRM = "confirm/"
RECOMMENDED = "recommended"
BEST_RANDOM = "best-random"
"""The best run of the design: what a search without laws and proposals would have given."""
