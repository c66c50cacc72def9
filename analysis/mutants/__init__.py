"""Would a test notice? Small faults are put into the library, and its own tests are asked.

    python -m analysis.mutants --json mutants.json
    python -m analysis.mutants --json mutants.json --only mixopt/space,mixopt/runs --sample 40
    python -m analysis.mutants --json mutants.json --alive    # new tests written: who still lives?

A mutant is one change of one expression. Whoever survives shows a line that no unit test of its
own module holds to what it does. `make mutants` is this run.

Why not one of the known tools? Tried on this code (2026-11): cosmic-ray has eleven variants for
each arithmetic sign, two thirds of its mutants (836 of 1269 in `space.simplex`), of which most
(`x << 0.5`) fail by themselves and flatter the rate; it has none for returned values, arguments
and statements, and one test command for all modules. mutmut first runs the whole suite to learn
which test reaches what, cannot sample, and leaves statements at module level and decorated
functions alone, which are the defaults and the classes of this library. Both know nothing of
texts. What would be left of either is the part of `operators.py`, which is short.

* `operators`: what is changed, and what is left alone (texts of messages, annotations).
* `places`: which tests answer for which module.
* `sample`: the random sample, stable when other code changes, and the proven equivalents.
* `run`: each mutant in a copy of the tree, by several workers; a stopped run goes on, and a
  result holds until the module or its tests change.
* `sample.jsonl`: the sample of 300 with seed 0 (`--list`); `equivalent.json`: the proofs.
"""
