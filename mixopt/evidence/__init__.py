"""What stands behind an answer: diagnostics of its runs, confirmation with fresh seeds, outcome."""
