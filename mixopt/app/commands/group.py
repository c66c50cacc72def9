"""The group of all commands, which imports one when it is called."""

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_from_info, get_command_name

from mixopt.app.commands.table import COMMANDS
from mixopt.errors import did_you_mean
from mixopt.lazy import require


class Commands(TyperGroup):
    """The commands of the table; what is only listed is not imported."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command with its one line of help; all of it once it was called."""
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            return TyperCommand(name=cmd_name, help=COMMANDS[cmd_name][1])
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called, imported now."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}; {did_you_mean(args[0], COMMANDS)}")
        if args and args[0] in COMMANDS and args[0] not in self.commands:
            self.add_command(imported(args[0]), args[0])
        return super().resolve_command(ctx, args)


def imported(name: str) -> Any:
    """The command of a name, from its module, which registers it with the application."""
    require(f"{__package__}.{COMMANDS[name][0]}")
    app: typer.Typer = require(f"{__package__}.application").app
    info = next(
        c
        for c in app.registered_commands
        if c.callback is not None and (c.name or get_command_name(c.callback.__name__)) == name
    )
    return get_command_from_info(
        info,
        pretty_exceptions_short=app.pretty_exceptions_short,
        rich_markup_mode=app.rich_markup_mode,
    )
