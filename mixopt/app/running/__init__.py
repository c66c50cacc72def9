"""From a spec to a sweep that runs: checks, what it will cost, trainer, executor and store."""
