"""`mixopt schema`."""

from mixopt.app.commands.application import app
from mixopt.app.output import console
from mixopt.app.spec.spec_file import json_schema


@app.command()
def schema() -> None:
    """Print the JSON schema of spec.yaml, for editors to complete and check it.

    Example: mixopt schema > spec.schema.json
    """
    console.write_json(None, json_schema())
