"""`python -m mixopt`: the commands."""

from mixopt.cli import main

main()
