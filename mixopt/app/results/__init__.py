"""What becomes of a sweep: its outcome, its pages, its record for people."""
