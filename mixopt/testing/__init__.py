"""What authors of trainers, laws, proposers, executors and stores test theirs with."""
