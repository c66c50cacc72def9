"""Tables as others write them: told apart by content, joined by what names a run, or refused."""

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixopt import InputError, RunTable, read_table

PILE = "train_the_pile_"
OLMIX = ["Unnamed: 0", "run", "name", "index"]


def tidy() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run": ["a", "b", "c"],
            "params": [1000000, 1000000, 1000000],
            "tokens": [2000, 2000, 2000],
            "w/web": [0.75, 0.5, 0.25],
            "w/code": [0.25, 0.5, 0.75],
            "m/loss": [3.0, 2.5, 2.0],
        }
    )


def check(table: RunTable) -> None:
    assert table.domains == ("web", "code")
    assert table.metrics == ("loss",)
    np.testing.assert_allclose(table.W, [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]])
    np.testing.assert_allclose(table.Y[:, 0], [3.0, 2.5, 2.0])
    np.testing.assert_array_equal(table.scales[0], [1e6, 2000])


def csv(frame: pd.DataFrame | None = None, **options: Any) -> str:
    return str((tidy() if frame is None else frame).to_csv(index=False, **options))


def zipped(content: bytes, path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("runs.csv", content)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("runs.csv", csv()),
        ("runs.tsv", csv(sep="\t")),
        ("runs.csv", csv(sep=";")),
        ("german.csv", csv(sep=";", decimal=",")),
        ("bars.txt", csv(sep="|")),
        ("excel.csv", "sep=;\r\n" + csv(sep=";").replace("\n", "\r\n")),
        ("quoted.csv", csv(quoting=1)),
        ("spaces.csv", csv().replace(",", " , ")),
        ("headers.csv", csv().replace("w/web", " W/ web ").replace("params", '" Params "')),
        ("blank.csv", "\n\n" + csv() + "\n\n"),
        ("trailing.csv", "\n".join(line + "," for line in csv().splitlines())),
        ("bom.csv", csv().encode("utf-8-sig")),
        ("utf16.csv", csv().encode("utf-16")),
        ("utf16le.csv", csv().encode("utf-16-le")),
        ("utf16be.csv", csv().encode("utf-16-be")),
        ("runs.csv.gz", gzip.compress(csv().encode(), mtime=0)),
        ("misnamed.csv", gzip.compress(csv().encode(), mtime=0)),
        ("runs.csv.bz2", bz2.compress(csv().encode())),
        ("runs.csv.xz", lzma.compress(csv().encode())),
        ("counts.csv", csv().replace("1000000", '"1,000,000"').replace(",2000,", ",2k,")),
        ("counts.csv", csv().replace("1000000", "1M").replace(",2000,", ",2_000,")),
    ],
)
def test_files_are_told_apart_by_their_content(tmp_path: Path, name: str, content: Any) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    check(read_table(path))


def test_zstd_zip_and_parquet(tmp_path: Path) -> None:
    with pa.CompressedOutputStream(str(tmp_path / "runs.csv.zst"), "zstd") as out:
        out.write(csv().encode())
    zipped(csv().encode(), tmp_path / "runs.zip")
    for name in ("runs.parquet", "runs.pq", "runs.dat"):
        tidy().to_parquet(tmp_path / name)
    tidy().set_index("run").to_parquet(tmp_path / "index.parquet")
    for path in tmp_path.iterdir():
        check(read_table(path))


def test_names_with_accents_in_an_older_encoding_are_read_and_said(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes(csv().replace("w/code", "w/Français").encode("latin-1"))
    table = read_table(path)
    assert table.domains == ("web", "Français")
    assert any("Windows-1252" in note for note in table.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b'{"run": 1}', "holds JSON"),
        (b"\x00\x01\x02,abc,defghijklmnop", "zero bytes"),
        (b"\x1f\x8bnot really gzip", "cannot be read"),
        (b"PAR1 not really", "cannot be read"),
        (b"PK\x03\x04 not really", "cannot be read"),
        (csv().replace("3.0", "3.0,7").encode(), "row 1 has more cells than the header"),
        (csv().replace("params", "run").encode(), "has the column 'run' twice"),
        (csv().replace("m/loss", "m/").encode(), "called 'm/'"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_table(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 800


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_table(tmp_path)


@pytest.mark.parametrize("header", ["m/loss", "w/web", "params"])
@pytest.mark.parametrize("form", ["csv", "parquet", "spaces"])
def test_a_header_written_twice_is_refused_by_name(tmp_path: Path, header: str, form: str) -> None:
    frame = tidy()
    twice = pd.concat([frame, frame[[header]]], axis=1)
    path = tmp_path / "runs"
    if form == "parquet":
        arrays = [pa.array(twice.iloc[:, i]) for i in range(twice.shape[1])]
        pq.write_table(pa.Table.from_arrays(arrays, names=list(twice.columns)), path)
    else:
        again = f" {header} " if form == "spaces" else header
        path.write_text(csv(twice.set_axis([*frame.columns, again], axis=1)))
    with pytest.raises(InputError, match=f"'{header}' twice"):
        read_table(path)
    with pytest.raises(InputError, match=f"'{header}' twice"):
        RunTable.from_frame(twice)


# -- two files -------------------------------------------------------------------------------------


def regmix(folder: Path, first: str, second: str) -> Path:
    pd.DataFrame(
        {"index": [1, 2], f"{PILE}arxiv": [0.4, 0.9], f"{PILE}dm_mathematics": [0.6, 0.1]}
    ).to_csv(folder / first, index=False)
    pd.DataFrame(
        {
            "index": [2, 1],
            "metric/the_pile_arxiv_val_loss": [3.0, 4.0],
            "metric/the_pile_dm_mathematics_val_loss": [5.0, 6.0],
        }
    ).to_csv(folder / second, index=False)
    return folder / first


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("train_mixture_1m.csv", "train_pile_loss_1m.csv"),
        ("test_mixture_60m.csv", "test_pile_loss_60m.csv"),
        ("train_mixture_1m.csv", "train_loss_1m.csv"),
        ("my_weights.csv", "my_scores.csv"),
    ],
)
def test_regmix_files_are_found_and_joined_on_their_index(
    tmp_path: Path, first: str, second: str
) -> None:
    path = regmix(tmp_path, first, second)
    for table in (read_table(path), read_table(path, tmp_path / second)):
        assert table.domains == ("arxiv", "dm_mathematics")
        assert table.metrics == ("arxiv", "dm_mathematics")
        np.testing.assert_allclose(table.W, [[0.4, 0.6], [0.9, 0.1]])
        np.testing.assert_array_equal(table.Y, [[4.0, 6.0], [3.0, 5.0]])
        assert table.notes == ()


def test_pairs_of_other_sizes_are_not_mixed_up(tmp_path: Path) -> None:
    regmix(tmp_path, "test_mixture_1m.csv", "test_pile_loss_1m.csv")
    regmix(tmp_path, "train_mixture_1m.csv", "train_pile_loss_60m.csv")
    with pytest.raises(InputError, match="--metrics FILE"):
        read_table(tmp_path / "train_mixture_1m.csv")
    (tmp_path / "test_pile_loss_1m.csv").rename(tmp_path / "test_a_loss_1m.csv")
    (tmp_path / "test_b_loss_1m.csv").write_text("index,x\n1,2\n2,3\n")
    with pytest.raises(InputError, match=r"test_a_loss_1m.csv, test_b_loss_1m.csv could hold"):
        read_table(tmp_path / "test_mixture_1m.csv")


def olmix(folder: Path, **columns: Any) -> Path:
    """Olmix's own pair: an unnamed first column, `run`, `name` and `index` in both files."""
    names = pd.DataFrame(
        {"run": ["x", "y", "z"], "name": ["n-x", "n-y", "n-z"], "index": [7, 8, 9]}
    )
    ratios = names.assign(dclm=[0.5, 1.0, 0.25], math=[0.5, 0.0, 0.75])
    metrics = names.assign(mmlu=[1.0, 1.1, 1.2], gsm=[2.0, 2.1, 2.2], **columns).iloc[::-1]
    ratios.to_csv(folder / "ratios.csv")
    metrics.reset_index(drop=True).to_csv(folder / "metrics.csv")
    return folder / "ratios.csv"


@pytest.mark.parametrize("renormalize", [False, True])
def test_olmix_files_are_joined_on_their_run(tmp_path: Path, renormalize: bool) -> None:
    table = read_table(olmix(tmp_path), renormalize=renormalize)
    assert table.domains == ("dclm", "math")
    assert table.metrics == ("mmlu", "gsm")
    np.testing.assert_allclose(table.W, [[0.5, 0.5], [1.0, 0.0], [0.25, 0.75]])
    np.testing.assert_allclose(table.Y, [[1.0, 2.0], [1.1, 2.1], [1.2, 2.2]])
    assert table.facts["run"].tolist() == ["x", "y", "z"]
    assert table.facts["name"].tolist() == ["n-x", "n-y", "n-z"]


def test_bookkeeping_is_no_metric_and_facts_of_either_file_survive(tmp_path: Path) -> None:
    path = olmix(
        tmp_path,
        _timestamp=[1.7e9, 1.6e9, 1.8e9],
        _step=[10, 20, 30],
        _runtime=[1.0, 2.0, 3.0],
        epoch=1,
        params=[1000000] * 3,
        tokens=["3G"] * 3,
        seed=[0, 1, 2],
        state=["finished", "finished", "finished"],
    )
    table = read_table(path)
    assert table.metrics == ("mmlu", "gsm")
    np.testing.assert_array_equal(table.scales, [[1e6, 3e9]] * 3)
    assert table.facts["seed"].tolist() == [0, 1, 2]
    assert any("_timestamp" in n and "epoch" in n for n in table.notes)
    assert read_table(path, where="seed > 0").facts["run"].tolist() == ["y", "z"]


def test_rows_without_a_partner_are_counted_and_named(tmp_path: Path) -> None:
    path = olmix(tmp_path)
    metrics = pd.read_csv(tmp_path / "metrics.csv", index_col=0)
    pd.concat([metrics.iloc[:2], metrics.iloc[:1].assign(run="other")]).to_csv(
        tmp_path / "metrics.csv"
    )
    table = read_table(path)
    assert len(table) == 2
    assert any("1 of 3 rows of ratios.csv have no partner" in n and "'x'" in n for n in table.notes)
    assert any("1 of 3 rows of metrics.csv" in n and "'other'" in n for n in table.notes)


def test_a_domain_that_no_run_used_stays_a_domain_and_is_said(tmp_path: Path) -> None:
    path = olmix(tmp_path)
    frame = pd.read_csv(path, index_col=0)
    frame.insert(3, "adult", 0.0)
    frame.insert(4, "step", 0)
    frame.to_csv(path)
    table = read_table(path)
    assert table.domains == ("adult", "dclm", "math")
    assert any("no run gives weight to w/adult" in n for n in table.notes)


def test_columns_that_are_no_shares_are_found_by_the_sums(tmp_path: Path) -> None:
    ratios = pd.DataFrame(
        {
            "run": ["a", "b", "c"],
            "lr": [0.001, 0.002, 0.001],
            "dropout": [0.1, 0.2, 0.1],
            "id": [0.5, 0.25, 0.5],  # the language
            "en": [0.5, 0.75, 0.5],
            "temperature": [0.7, 0.7, 0.3],
            "layers": [2, 2, 4],
        }
    )
    ratios.to_csv(tmp_path / "ratios.csv", index=False)
    pd.DataFrame({"run": ["a", "b", "c"], "loss": [1.0, 2.0, 3.0]}).to_csv(
        tmp_path / "metrics.csv", index=False
    )
    with pytest.raises(InputError, match="call the columns that are shares w/<domain>"):
        read_table(tmp_path / "ratios.csv")  # 'id' may be a name as well
    ratios.rename(columns={"id": "ind"}).to_csv(tmp_path / "ratios.csv", index=False)
    table = read_table(tmp_path / "ratios.csv")
    assert table.domains == ("ind", "en")
    assert any("dropout, temperature, layers" in n for n in table.notes)
    ratios[["run", "id", "en"]].to_csv(tmp_path / "ratios.csv", index=False)
    assert read_table(tmp_path / "ratios.csv").domains == ("id", "en")
    obeyed = ratios.rename(columns={"id": "w/id", "en": "w/en"})
    obeyed.to_csv(tmp_path / "ratios.csv", index=False)
    assert read_table(tmp_path / "ratios.csv").domains == ("id", "en")


def test_percentages_are_refused_with_a_remedy_that_is_right(tmp_path: Path) -> None:
    path = olmix(tmp_path)
    frame = pd.read_csv(path, index_col=0)
    frame[["dclm", "math"]] *= 100
    frame.to_csv(path)
    with pytest.raises(InputError, match=r"sums to 100; .*--renormalize"):
        read_table(path)
    table = read_table(path, renormalize=True)
    assert table.domains == ("dclm", "math")
    np.testing.assert_allclose(table.W[0], [0.5, 0.5])


def test_pairs_that_cannot_be_joined_say_why(tmp_path: Path) -> None:
    def pair(one: dict[str, Any], other: dict[str, Any]) -> None:
        pd.DataFrame(one).to_csv(tmp_path / "ratios.csv", index=False)
        pd.DataFrame(other).to_csv(tmp_path / "metrics.csv", index=False)

    shares = {"a": [0.5, 0.5], "b": [0.5, 0.5]}
    for one, other, message in (
        ({}, {"loss": [1, 2]}, "share no column"),
        ({"run": [1, 1]}, {"run": [1, 2], "loss": [1, 2]}, "several rows of ratios.csv"),
        ({"run": [1, 2]}, {"run": [1, 1], "loss": [1, 2]}, "has '1' twice in metrics.csv"),
        ({"run": [1, 2]}, {"run": [3, 4], "loss": [1, 2]}, "no value of 'run' is in both"),
        ({"run": [1, 2]}, {"run": [1, 2], "epoch": [1, 2]}, "no column holds a metric"),
        (
            {"run": [1, 2], "params": [5, 6], "tokens": 1},
            {"run": [1, 2], "params": [5, 7], "loss": 1},
            "differ in 'params' of run 2: 6 and 7",
        ),
    ):
        pair(one | shares, other)
        with pytest.raises(InputError, match=message):
            read_table(tmp_path / "ratios.csv")
    pair({"run_id": [1, 2]} | shares, {"run": ["2", "1"], "loss": [7.0, 8.0]})
    assert read_table(tmp_path / "ratios.csv").Y[:, 0].tolist() == [8.0, 7.0]


def test_a_table_without_prefixes_is_told_how_to_name_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("web,code,loss\n.5,.5,2\n.25,.75,3\n")
    with pytest.raises(InputError, match=r"rows of web, code sum to 1: call these columns w/web"):
        read_table(path)
    path.write_text("w/web,w/code,m/loss\n.5,.5,2\n.25,.75,3\n")
    assert read_table(path).domains == ("web", "code")
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no column starts with 'w/'"):
        read_table(path)
