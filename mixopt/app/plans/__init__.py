"""From an answer to files that a trainer takes: sources, manifests, token plans, shards."""
