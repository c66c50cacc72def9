"""`python -m mixopt`: the commands."""

from mixopt.app.commands import main

main()
