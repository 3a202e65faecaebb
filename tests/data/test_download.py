"""Downloads from a server on this machine: resumed, retried, checked."""

from __future__ import annotations

import hashlib
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from seqattn.data import sources as module
from seqattn.data.sources import _check, download
from seqattn.errors import SeqattnError

CONTENT = bytes(range(256)) * 4_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What the server does, and what it was asked for."""

    url: str = ""
    content: bytes = CONTENT
    cut: list[int] = field(default_factory=list)  # bytes after which a transfer breaks off
    codes: list[int] = field(default_factory=list)  # errors to answer with first
    ranges: bool = True
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            state.asked.append(self.headers["Range"])
            if state.codes:
                return self.send_error(state.codes.pop(0))
            first, total = 0, len(state.content)
            if state.ranges and self.headers["Range"]:
                first = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if first >= total:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{total}")
                self.end_headers()
                return None
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
            self.send_header("Content-Length", str(total - first))
            self.end_headers()
            last = first + state.cut.pop(0) if state.cut else total
            self.wfile.write(state.content[first:last])
            return None

        def log_message(self, *arguments):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{http.server_port}/data.zip"
    yield state
    http.shutdown()
    http.server_close()


def test_a_file_is_fetched_whole_and_only_once(server, tmp_path):
    target = tmp_path / "cache" / "data.zip"
    assert download(server.url, target, sha256=SHA256).read_bytes() == CONTENT
    download(server.url, target, sha256=SHA256)
    assert len(server.asked) == 1
    assert not target.with_name("data.zip.part").exists()


def test_a_transfer_that_breaks_off_is_continued_where_it_stopped(server, tmp_path):
    server.cut = [1_000, 50_000]
    target = download(server.url, tmp_path / "data.zip", sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", "bytes=51000-"]


def test_a_part_left_by_an_earlier_process_is_continued(server, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(CONTENT[:300_000])
    download(server.url, tmp_path / "data.zip", sha256=SHA256)
    assert server.asked == ["bytes=300000-"]


def test_a_part_that_is_complete_already_is_kept(server, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(CONTENT)
    assert download(server.url, tmp_path / "data.zip", sha256=SHA256).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_started_again(server, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(CONTENT + b"more")
    assert download(server.url, tmp_path / "data.zip", sha256=SHA256).read_bytes() == CONTENT


def test_a_server_that_knows_no_ranges_sends_everything_again(server, tmp_path):
    server.ranges, server.cut = False, [1_000]
    assert download(server.url, tmp_path / "data.zip", sha256=SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_passing_error_is_tried_again(server, tmp_path, code):
    server.codes = [code, code]
    assert download(server.url, tmp_path / "data.zip").read_bytes() == CONTENT


def test_a_lasting_error_is_reported_at_once(server, tmp_path):
    server.codes = [404] * 9
    with pytest.raises(SeqattnError, match="HTTP 404"):
        download(server.url, tmp_path / "data.zip")
    assert len(server.asked) == 1


def test_a_transfer_that_always_breaks_off_names_address_folder_and_way_out(server, tmp_path):
    server.cut = [1_000] * 9
    with pytest.raises(SeqattnError) as caught:
        download(server.url, tmp_path / "data.zip", sha256=SHA256)
    for part in (server.url, str(tmp_path), "SEQATTN_DATA", "4000 of 1024000 bytes"):
        assert part in str(caught.value)
    assert not (tmp_path / "data.zip").exists()


def test_no_network_names_address_folder_and_way_out(monkeypatch, tmp_path):
    pauses = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/data.zip"
        with pytest.raises(SeqattnError) as caught:
            download(url, tmp_path / "data.zip")
    for part in (url, str(tmp_path), "SEQATTN_DATA", "refused"):
        assert part in str(caught.value)
    assert pauses == [1.0, 2.0, 4.0]


def test_a_silent_server_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(module, "_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/data.zip"
        with pytest.raises(SeqattnError, match="timed out"):
            download(url, tmp_path / "data.zip")


def test_a_wrong_checksum_is_refused_and_nothing_is_left(server, tmp_path):
    with pytest.raises(SeqattnError, match=f"{SHA256} where {'0' * 64} is expected"):
        download(server.url, tmp_path / "data.zip", sha256="0" * 64)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_the_first_checksum_is_kept_and_another_one_refused(server, tmp_path):
    target = download(server.url, tmp_path / "data.zip")
    assert (tmp_path / "data.zip.sha256").read_text() == f"{SHA256}  data.zip\n"
    target.unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(SeqattnError, match=r"published anew, delete .*data\.zip\.sha256"):
        download(server.url, target)
    assert not target.exists()


def test_a_cached_file_that_was_altered_is_refused(server, tmp_path):
    target = download(server.url, tmp_path / "data.zip")
    _check(target, target, None, str(target))
    target.write_bytes(b"other")
    with pytest.raises(SeqattnError, match="damaged or altered"):
        _check(target, target, None, str(target))


def test_a_full_disk_leaves_no_file_and_says_what_to_do(server, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "replace", full)
    with pytest.raises(
        SeqattnError, match=r"No space left on device; make room or (set SEQATTN_CACHE|choose)"
    ):
        download(server.url, tmp_path / "data.zip")
    assert not (tmp_path / "data.zip").exists()


def test_a_disk_that_fills_up_during_the_transfer_is_no_network_problem(server, tmp_path):
    target = tmp_path / "data.zip"
    target.with_name("data.zip.part").symlink_to("/dev/full")
    with pytest.raises(SeqattnError, match="No space left on device; make room"):
        download(server.url, target)
    assert not target.exists()


def test_a_record_of_a_checksum_that_was_cut_off_is_written_again(tmp_path):
    (path := tmp_path / "data.zip").write_bytes(CONTENT)
    record = path.with_name("data.zip.sha256")
    record.touch()
    _check(path, path, None, str(path))
    assert record.read_text() == f"{SHA256}  data.zip\n"
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(SeqattnError, match="damaged or altered"):
        _check(path, path, None, str(path))
