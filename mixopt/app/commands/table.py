"""The commands: where each is, and what it does in one line.

`mixopt --help` reads this table and imports no command, so that it answers at once; a command is
imported when it is called.
"""

COMMANDS = {
    "init": ("init", "Look at a folder of text and write a first spec for it, with its reasons."),
    "domains": (
        "domains",
        "Cut one heap of documents into domains: clusters of words, of embeddings, or by a field.",
    ),
    "tokenize": (
        "tokenize",
        "Text into shards of tokens for Megatron and for proxies, one task a shard.",
    ),
    "transport": (
        "transport",
        "Measure how far mixtures of documents are from what is scored, for the law 'projektor'.",
    ),
    "check": ("check", "What a sweep would do and cost: a dry run that trains nothing."),
    "run": (
        "run",
        "Run a sweep, or go on with it: train, fit laws, propose, confirm, report.",
    ),
    "submit": ("submit", "Run a sweep on a Ray cluster, as a job that needs this machine no more."),
    "jobs": ("jobs", "List the sweeps of a cluster: state, since when, where their results are."),
    "logs": ("jobs", "Show what a sweep's newest job has written."),
    "stop": ("jobs", "Stop a sweep's job; 'mixopt resume' goes on from what was trained."),
    "resume": ("submit", "Go on with a sweep on a cluster, by its name, from any machine."),
    "status": (
        "status",
        "Where a sweep stands: progress, cost, best run, failures, hosts.",
    ),
    "list": ("listing", "The sweeps of a folder: state, progress, best run, cost."),
    "retry": ("retry", "Train failed runs again, and go on with the sweep as 'mixopt run' does."),
    "report": (
        "report",
        "Write a sweep's report anew from its store, also while it is running.",
    ),
    "dependence": (
        "dependence",
        "Do the injections of a spec interfere? From one checkpoint, each alone, none, and all.",
    ),
    "price": (
        "price",
        "What it costs in the predicted objective to leave a tier of domains out, or to cap it.",
    ),
    "documents": (
        "documents",
        "Which documents the answer keeps, and how often each is read: rules on their scores.",
    ),
    "merge": (
        "merge",
        "Merge the experts of a spec into one model, by coefficients learned on a target's text.",
    ),
    "promote": (
        "promote",
        "Put a finished sweep's answer to the test before a large run, by rules given beforehand.",
    ),
    "card": (
        "card",
        "Print the model card of a sweep's last promotion: what, why, evidence, limits.",
    ),
    "compare": (
        "compare",
        "Sweeps side by side: answers, mixtures, gains, cost, and what differs in their specs.",
    ),
    "export": (
        "export",
        "Write a mixture or schedule in a trainer's own format, checked by its rules.",
    ),
    "compile": (
        "compile",
        "Exact tokens, documents and epochs per domain, and an order of blocks.",
    ),
    "mixer": ("mixer", "Steer the mixture of another trainer's run over stdin and stdout."),
    "fit": ("fit", "Fit laws to a table of runs: diagnostics, and the mixture they propose."),
    "clean": ("clean", "Show, or delete, what a sweep keeps beside its record."),
    "ui": ("ui", "Show a sweep's runs in MLflow's pages; Ctrl-C closes them."),
    "schema": (
        "schema",
        "Print the JSON schema of spec.yaml, for editors to complete and check it.",
    ),
}
"""Name to its module in this package and its help in one line, in the order of `--help`."""
