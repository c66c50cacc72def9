"""Shards of tokens in an object store: a local S3 server, healthy and failing."""

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import token_files

from mixopt import InputError
from proxies.corpus import CorpusConfig, load_corpus
from proxies.token_shards import places

pytest.importorskip("moto", reason="moto is not installed")
s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server with an empty bucket."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        env={**os.environ, **KEYS},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/moto-api/", timeout=10).close()
                break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    s3fs.S3FileSystem.clear_instance_cache()
    fs = s3fs.S3FileSystem()
    if not fs.exists("bucket"):
        fs.mkdir("bucket")
    return fs


def shards(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    documents = [[*rng.integers(1, 300, 40).tolist(), 0] for _ in range(900)]
    token_files.write_megatron(folder / "m0", documents[:400])
    token_files.write_megatron(folder / "m1", documents[400:])
    token_files.write_flat(folder / "flat.npy", documents)
    token_files.write_parquet(folder / "rows.parquet", documents)
    return folder


SOURCES: dict[str, dict[str, Any]] = {
    "megatron": {"shards": "", "format": "megatron"},
    "flat": {"shards": "/*.npy", "format": "flat", "dtype": "uint16", "end": 0},
    "rows": {"shards": "/rows.parquet", "format": "rows"},
}


def config(root: str) -> CorpusConfig:
    domains = {n: {**s, "shards": f"{root}{s['shards']}"} for n, s in SOURCES.items()}
    return CorpusConfig(domains=domains, vocab=128, max_tokens=9000)


def test_a_store_gives_the_sample_of_a_disk(store: Any, tmp_path: Path) -> None:
    folder = shards(tmp_path / "shards")
    root = f"bucket/{tmp_path.name}/shards"
    store.put(str(folder), root, recursive=True)
    local = load_corpus(config(str(folder)), tmp_path / "local")
    remote = load_corpus(config(f"s3://{root}"), tmp_path / "remote")
    assert remote.sha256 == local.sha256
    assert set(remote.shards["megatron"]) == {f"s3://{root}/m{i}" for i in (0, 1)}
    assert remote.available_tokens() == dict.fromkeys(SOURCES, 900 * 41)


class Failing(http.server.BaseHTTPRequestHandler):
    """Hands requests on, and fails every other one that asks for a part of an object."""

    upstream = ""
    always = False
    asked = 0

    def do_GET(self) -> None:
        kind = type(self)
        part = "Range" in self.headers
        kind.asked += part
        if part and (kind.always or kind.asked % 2):
            self.send_error(503)
            return
        self._hand_on("GET")

    def do_HEAD(self) -> None:
        self._hand_on("HEAD")

    def _hand_on(self, method: str) -> None:
        headers = {k: v for k, v in self.headers.items() if k != "Host"}
        request = urllib.request.Request(self.upstream + self.path, None, headers, method=method)
        try:
            answer = urllib.request.urlopen(request, timeout=10)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name not in ("Connection", "Transfer-Encoding"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize("always", [False, True], ids=["now and then", "always"])
def test_a_store_that_fails_is_asked_again_and_named_in_the_end(
    always: bool, store: Any, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shards(tmp_path / "shards")
    root = f"bucket/{tmp_path.name}/shards"
    store.put(str(folder), root, recursive=True)
    kind = type("Bad", (Failing,), {"upstream": server, "always": always})
    bad = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=bad.serve_forever, daemon=True).start()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bad.server_port}")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        monkeypatch.setattr(places, "PAUSE", 0.01)
        monkeypatch.setattr(s3fs.core.S3FileSystem, "retries", 1)
        s3fs.S3FileSystem.clear_instance_cache()
        if always:
            with pytest.raises(InputError, match=r"m0.idx: the store failed 4 times, the last"):
                load_corpus(config(f"s3://{root}"), tmp_path / "remote")
        else:
            remote = load_corpus(config(f"s3://{root}"), tmp_path / "remote")
            local = load_corpus(config(str(folder)), tmp_path / "local")
            assert remote.sha256 == local.sha256
        assert kind.asked > 3  # type: ignore[attr-defined]
    finally:
        bad.shutdown()
