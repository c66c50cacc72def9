"""The only modules that import services: Ray, MLflow."""
