"""Sweeps that things happen to: after each, the same runs as an undisturbed sweep?

`python -m analysis.faults --kills 100 --json FILE` runs small sweeps on a Ray cluster of several
nodes (`ray.cluster_utils.Cluster`), recorded in MLflow on SQLite or on a server, and lets one thing
happen to each at a random moment, seeded. A trial is clean if the store then holds exactly the runs
that the same sweep has in one process and in memory: every one once, closed, with the same metrics
(and, where the trial is about a run that cannot be trained, that one failed). FILE is written after
each trial; called again with it, the harness goes on where it was.
"""
