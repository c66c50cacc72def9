"""The edge: the YAML spec, the commands, and what they print; nothing below knows of it."""
