"""What relates scales: laws that learn from runs of several."""
