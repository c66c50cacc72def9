"""The record of sweeps in MLflow: store, records of runs, locks."""
