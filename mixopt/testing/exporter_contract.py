"""What every exporter must do. Inherit `ExporterContract` in a test module and name yours."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.export import (
    Exported,
    Exporter,
    Facts,
    Paths,
    Repeats,
    Schedules,
    Unit,
    export,
    exporter,
)
from mixopt.export.shares import shares_of_examples
from mixopt.runs import Schedule
from mixopt.space import Mixture

ODD = (
    'we"b',
    "co'de\\",
    "é😀{x}",
    '"""',
    "</script>",
    "a%sb#",
    "{{}}",
    "# x: - y",
    "line\u2028sep",
    "no",
)
"""Names of domains that quoting has to survive."""
TOKENS = 10**12
Read = Mapping[str, float]


def mixture_of(parts: list[int]) -> Mixture:
    """A mixture of as many odd names as there are parts, each with its part of the sum."""
    total = sum(parts)
    return Mixture(ODD[: len(parts)], tuple(n / total for n in parts))


class ExporterContract:
    """Inherit it, give `name`, and say in `read` how a file of the format is read back.

    Attributes:
        name: of the format, or `module:attribute`.
        version: of it.
        options: of it.
        drift: how far shares may lie from the written weights, where the trainer rounds them.
        extra: fields of `Facts` that the format needs and the contract does not give.
    """

    name: ClassVar[str] = ""
    version: ClassVar[str | None] = None
    options: ClassVar[Mapping[str, Any]] = {}
    extra: ClassVar[Mapping[str, Any]] = {}
    drift: ClassVar[float] = 1e-9

    def read(self, files: Mapping[str, str], paths: Mapping[str, str]) -> Read:
        """Domain to weight, from the files that were written for one mixture.

        Args:
            files: name to text, the main file first.
            paths: path to domain, for formats that name domains by their paths.

        Raises:
            NotImplementedError: not overridden.
        """
        raise NotImplementedError

    def read_stages(self, files: Mapping[str, str], paths: Mapping[str, str]) -> list[Read]:
        """The same for a schedule; override it where the format holds schedules in one file."""
        listing = json.loads(next(iter(files.values())))
        ends = [run["until_tokens"] for run in listing["runs"]]
        starts = [run["start_tokens"] for run in listing["runs"]]
        assert starts == [0, *ends[:-1]]
        others = {n: t for n, t in files.items() if not _is_stage(n, files)}
        return [
            self.read({run["file"]: files[run["file"]], **others}, paths) for run in listing["runs"]
        ]

    @property
    def exporter(self) -> Exporter:
        """The one that is tried."""
        return exporter(self.name, self.version)

    @property
    def unit(self) -> Unit:
        """What its weights count under the options."""
        return self.exporter.unit_of(self.exporter.settings(self.options, self.name))

    @property
    def grain(self) -> float:
        """Of its weights under the options."""
        return self.exporter.grain_of(self.exporter.settings(self.options, self.name))

    def facts(self, domains: tuple[str, ...]) -> Facts:
        """All that any format needs to know."""
        return Facts(
            paths={d: f"/data/{i}_text.jsonl" for i, d in enumerate(domains)},
            tokens_per_example={d: 1000.0 + 100 * i for i, d in enumerate(domains)},
            unique=dict.fromkeys(domains, 1e15),
            tokens=TOKENS,
            sequence_length=1000,
            batch_tokens=2048 * 1000,
            **self.extra,
        )

    def write(self, plan: Mixture | Schedule, facts: Facts | None = None, **more: Any) -> Exported:
        """An export by the contract's facts and options."""
        known = facts or self.facts(plan.domains)
        given = {**self.options, **more.pop("options", {})}
        return export(plan, self.name, known, version=self.version, **more, **given)

    def back(self, plan: Mixture | Schedule, written: Exported) -> list[Read]:
        """What stands in the files, stage by stage."""
        paths = {str(p): d for d, p in self.facts(plan.domains).paths.items()}
        if isinstance(plan, Schedule):
            return self.read_stages(written.files, paths)
        return [self.read(written.files, paths)]

    def expected(self, shares: Mapping[str, float], facts: Facts, tokens: int) -> Read:
        """The weights that give these shares of tokens, before rounding."""
        w = {d: share for d, share in shares.items() if share > 0}
        lengths = facts.tokens_per_example
        if self.unit is Unit.EXAMPLES:
            return shares_of_examples(w, lengths)
        if self.unit is Unit.COUNTS:
            return {d: share * tokens / lengths[d] for d, share in w.items()}
        if self.unit is Unit.PASSES:
            return {d: share * tokens / facts.unique[d] for d, share in w.items()}
        return {d: share * tokens for d, share in w.items()} if self.unit is Unit.QUOTA else w

    @property
    def tolerance(self) -> float:
        """How far a weight may lie from what was asked for."""
        if self.unit.relative:
            return max(1e-6, self.grain)
        return 1e-6 if self.unit is Unit.PASSES else 1.0 + 1e-9 * TOKENS

    def test_weights_come_back_and_zeros_are_dropped(self) -> None:
        """Whatever the names are, every share comes back in the unit of the format."""

        @settings(max_examples=12, deadline=None)
        @given(st.lists(st.integers(0, 20), min_size=1, max_size=len(ODD)).filter(any))
        def check(parts: list[int]) -> None:
            mixture = mixture_of(parts)
            weights = self.back(mixture, self.write(mixture))[0]
            expected = self.expected(mixture.to_dict(), self.facts(mixture.domains), TOKENS)
            assert list(weights) == list(expected), "domains are left out, or in another order"
            for domain, weight in expected.items():
                assert weights[domain] == pytest.approx(weight, abs=self.tolerance)
            if self.unit.relative:
                assert math.isclose(sum(weights.values()), 1.0, abs_tol=1e-8)

        check()

    def test_the_realised_plan_is_what_was_written(self) -> None:
        """Its shares and epochs follow from the weights, and zeros are named."""
        mixture = mixture_of([6, 3, 0, 1])
        facts = self.facts(mixture.domains)
        written = self.write(mixture)
        weights, realised = self.back(mixture, written)[0], written.realised
        lengths = facts.tokens_per_example
        tokens = {d: w * lengths[d] if self.unit.of_examples else w for d, w in weights.items()}
        shares = {d: n / sum(tokens.values()) for d, n in tokens.items()}
        promised = {d: v["share"] for d, v in realised["domains"].items()}
        assert promised == pytest.approx(shares, abs=self.drift)
        for domain, values in realised["domains"].items():
            assert values["epochs"] == pytest.approx(
                promised[domain] * TOKENS / facts.unique[domain]
            )
            assert values["sd"] is not None
        assert list(realised["removed"]) == [ODD[2]]
        assert sum(v["tokens"] for v in realised["domains"].values()) == TOKENS
        json.dumps(realised, allow_nan=False)

    def test_the_same_is_written_twice(self) -> None:
        """Nothing depends on time or order of hashing."""
        mixture = mixture_of([3, 1])
        assert self.write(mixture) == self.write(mixture)

    def test_provenance_is_taken_and_cannot_break_the_file(self) -> None:
        """Text of users never becomes code or markup."""
        mixture = mixture_of([1, 1])
        nasty = {"spec": 'x"""\nimport os\u2028import os\n</script>\r# y', "sd": float("nan")}
        plain, told = self.write(mixture), self.write(mixture, about={"provenance": nasty})
        assert self.back(mixture, told) == self.back(mixture, plain)

    def test_a_missing_path_is_named(self) -> None:
        """A path for every domain with a share, and for no other."""
        mixture = mixture_of([1, 0, 1])
        facts = self.facts(mixture.domains)
        some = {d: p for d, p in facts.paths.items() if d != ODD[1]}
        self.write(mixture, replace(facts, paths=some))
        if self.exporter.paths is Paths.NEEDED:
            with pytest.raises(InputError, match="no path is given for"):
                self.write(mixture, replace(facts, paths={ODD[0]: "/data/0"}))

    def test_paths_that_the_trainer_would_misread_are_refused(self) -> None:
        """Whitespace where it splits, line breaks everywhere."""
        if self.exporter.paths is Paths.UNUSED:
            return
        mixture = mixture_of([1])
        broken = ["/data/a\nb.jsonl"] + ([] if self.exporter.spaces else ["/data/a b.jsonl"])
        for path in broken:
            facts = replace(self.facts(mixture.domains), paths={ODD[0]: path})
            with pytest.raises(InputError, match=f"path of domain {ODD[0]!r}"):
                self.write(mixture, facts)

    def test_an_unknown_option_is_refused_with_the_known_ones(self) -> None:
        """So is an unknown version."""
        with pytest.raises(InputError, match="has no option 'pahts'"):
            self.write(mixture_of([1]), options={"pahts": {}})
        with pytest.raises(InputError, match="has no version 'never'"):
            export(mixture_of([1]), self.name, version="never")

    def test_every_option_says_what_it_is(self) -> None:
        """For `mixopt export --describe`; its default is one of its values."""
        for option in self.exporter.all_options:
            assert option.help
            assert option.read(option.default) == option.default

    def test_repetition_is_refused_where_the_trainer_repeats_nothing(self) -> None:
        """The message has the largest run, and that run is written."""
        mixture = mixture_of([1, 1])
        scarce = replace(self.facts(mixture.domains), unique={ODD[0]: 1e9, ODD[1]: 1e15})
        if self.exporter.repeats is not Repeats.NEVER:
            self.write(mixture, scarce)
            return
        with pytest.raises(InputError, match="repeats no data") as refused:
            self.write(mixture, scarce)
        most = int(str(refused.value).partition("give ")[2].split()[0])
        self.write(mixture, replace(scarce, tokens=most))

    def test_more_epochs_than_allowed_are_refused(self) -> None:
        """By any format, with the largest run, which is written."""
        mixture = mixture_of([1, 1])
        scarce = replace(self.facts(mixture.domains), unique={ODD[0]: 1e11}, max_epochs=0.5)
        scarce = replace(scarce, unique={**scarce.unique, ODD[1]: 1e15})
        with pytest.raises(InputError, match=r"0\.5 passes are allowed") as refused:
            self.write(mixture, scarce)
        most = int(str(refused.value).partition("give ")[2].split()[0])
        self.write(mixture, replace(scarce, tokens=most))

    def test_a_schedule_comes_back_stage_by_stage(self) -> None:
        """In one file, or as runs with exact ends; its mean where that is asked for."""
        first, second = mixture_of([3, 1, 0]), mixture_of([1, 1, 2])
        schedule = Schedule(((600, first), (1000, second)))
        written = self.write(schedule)
        stages = self.back(schedule, written)
        ends = [0, TOKENS * 6 // 10, TOKENS]
        for number, (read, mixture) in enumerate(zip(stages, (first, second), strict=True)):
            tokens = ends[number + 1] - ends[number]
            expected = self.expected(mixture.to_dict(), self.facts(mixture.domains), tokens)
            assert read == pytest.approx(expected, abs=self.tolerance)
        realised = [stage["until_tokens"] for stage in written.realised["stages"]]
        assert realised == ends[1:]
        native = self.exporter.schedules is Schedules.NATIVE
        assert native == (not any(n.endswith(".runs.json") for n in written.files))
        if self.unit.relative:
            assert self.write(schedule, mean=True).files == self.write(schedule.mean).files


def _is_stage(name: str, files: Mapping[str, str]) -> bool:
    """Whether a file belongs to one stage, or to the list of them."""
    stem = next(iter(files)).removesuffix(".runs.json")
    return name.startswith(f"{stem}.")
