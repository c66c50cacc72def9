"""What does a run cost the driver, beside the training itself?

    python -m analysis.overhead --json out.json
    python -m analysis.overhead --systems mixopt,mlflow-calls --store-runs 300,10000
    python -m analysis.overhead --idle --json out.json

A trainer that answers at once, 17 domains, 22 metrics, Ray on this machine. Systems:

* `mixopt`: a sweep as `mixopt run` does it, recorded by MLflow in SQLite;
* `mixopt-memory`: the same, recorded in memory;
* `mlflow-calls`: what `mixopt` asks of MLflow for the same runs (three public calls a run), in the
  same database, and nothing else in the process;
* `ray-tune`: Ray Tune with Optuna's TPE and Ray's own MLflow callback, 50 runs, the same trainer
  (needs the extra `bench`; left out, with the reason, where it is not installed).

Records: `{system, store_runs, runs_per_second, driver_mb}`: the pace over `window` runs once
`store_runs` are in the store, and the driver's resident memory then. Beside them `cpu_ms` (CPU time
of the driver per run, which other processes disturb less than the clock), `window`, and of sweeps
`trained` (runs in one go), `grown_mb` (memory since the first of these was sent out) and
`resume_seconds` (from opening the store with so many runs to the first run sent out, Ray's start
left out). With `--idle` also `{system: "idle-slots", idle_percent}`: the share of 8 slots without a
run, first and last runs left out, where a run takes 5 s. Every system has a process of its own;
`mlflow-calls` has that of `mixopt`, whose database it writes to. Goals that could be judged are
printed at the end.
"""
