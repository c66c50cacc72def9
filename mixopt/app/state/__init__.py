"""Where a sweep stands, what it answers when opened again, and what of it can be deleted."""
