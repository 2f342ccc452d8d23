from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ray_ingest.instruments import __main__ as command_line
from ray_ingest.instruments.fetching import URLS, FetchError, download
from tests.unit.instruments import market


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder with all masters of one day, fetched from files."""
    files = {"u.json": market.upstox(), "cm.csv": market.fyers_cm(), "fo.csv": market.fyers_fo()}
    source = tmp_path / "downloads"
    source.mkdir()
    for name, text in (files | {"d.csv": market.dhan_compact()}).items():
        (source / name).write_bytes(text)
    assert run(tmp_path / "state", "fetch", "--from", str(source), "--date", "2025-11-10") == 0
    return tmp_path / "state"


def run(folder: Path, *arguments: str) -> int:
    """Exit code of the command with this folder."""
    return command_line.main([arguments[0], "--folder", str(folder), *arguments[1:]])


def test_fetch_stores_dated_masters(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What files hold is stored a broker and day, and the counts are said."""
    assert sorted(path.name for path in (folder / "2025-11-10").iterdir()) == [
        "dhan.parquet", "fyers.parquet", "upstox.parquet",
    ]  # fmt: skip
    assert run(folder, "fetch", "--from", str(tmp_path / "downloads" / "u.json"), "--date", "2025-11-12") == 0
    written = folder / "2025-11-12" / "upstox.parquet"
    assert capsys.readouterr().out == f"{written}: 100 instruments, 100 of them with a name\n"


def test_list_shows_what_texts_mean(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Texts from the command line and a file become rows, tab-separated in a pipe, with who has them."""
    (tmp_path / "mine.txt").write_text("ALFA\n")
    rule = "NIFTY nearest weekly ± 0 strikes"
    capsys.readouterr()
    code = run(
        folder,
        "list",
        rule,
        "--file",
        str(tmp_path / "mine.txt"),
        "--spot",
        "NIFTY=25210",
        "--date",
        "2025-11-11",
    )
    shown = capsys.readouterr()
    assert code == 0
    assert [line.split("\t")[:2] for line in shown.out.splitlines()[1:]] == [
        ["NSE_FO|40014", "NIFTY25N1825200CE"], ["NSE_FO|40015", "NIFTY25N1825200PE"], ["NSE_EQ|101", "ALFA"],
    ]  # fmt: skip
    assert shown.out.splitlines()[1].endswith("upstox fyers dhan")
    assert shown.err == "3 instruments\n"


def test_show_and_find_tell_what_is_known(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Any spelling is shown with every broker's key; find looks at words; nothing found is exit 1."""
    assert run(folder, "show", "NSE:NIFTY25NOVFUT", "--date", "2025-11-10") == 0
    shown = capsys.readouterr().out
    for line in ("identity\tNSE_FO|50001|NIFTY|2025-11-25||FUT", "dhan (2025-11-10)\tNSE_FNO:50001"):
        assert line in shown
    assert run(folder, "find", "beta", "auto", "ltd", "--date", "2025-11-10") == 0
    assert "NSE_EQ|102\tBETA-AUTO" in capsys.readouterr().out
    assert run(folder, "find", "nothing", "at", "all") == 1


def test_report_counts_segments_and_reasons(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report says how many names each broker has in a segment, and what has none, and why."""
    extra = (
        market.dhan_compact()
        + b"NSE,I,99999,INDEX,0,MADE UP,1,Made Up,0001-01-01,,XX,0.05,,INDEX,X,MADE UP\n"
    )
    (tmp_path / "later.csv").write_bytes(extra)
    assert run(folder, "fetch", "--from", str(tmp_path / "later.csv"), "--date", "2025-11-11") == 0
    assert run(folder, "report", "--date", "2025-11-12") == 0
    shown = capsys.readouterr().out
    assert "NSE_FO\t93\t93\t93\t93\t93" in shown
    assert "dhan\t1\tindex is not in the kept table\tIDX_I:99999 MADE UP" in shown
    assert "dhan\t2025-11-11\t101\t100" in shown


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["list", "ALFAA"], "ALFAA: no broker's master has this instrument"),
        (["list", "NIFTY nearest"], "is expected"),
        (["list", "--spot", "NIFTY"], "write it as NIFTY=26010.5"),
        (["list", "--date", "yesterday"], "write the day as YYYY-MM-DD"),
        (["list", "--date", "2001-01-01"], "no instrument masters of 2001-01-01 or before"),
        (["list", "--file", "nowhere.txt"], "nowhere.txt: No such file"),
        (["show", "NSE_EQ|INE1"], "no broker's master has this instrument"),
        (["fetch", "--from", "nowhere"], "nowhere: no such file"),
        (["fetch", "--broker", "zerodha"], "invalid choice: 'zerodha'"),
        (["report", "--frobnicate"], "unrecognized arguments"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    arguments: list[str], complaint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a user gets wrong: no traceback, one line that names it, exit 2."""
    assert run(folder, *arguments) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


class _Files(BaseHTTPRequestHandler):
    """Serves Upstox's master, a cut-off one and a refusal."""

    def do_GET(self) -> None:
        """Answer by the path."""
        text = market.upstox()
        if self.path == "/refused.json":
            self.send_error(403)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text[: len(text) // 2] if self.path == "/cut.json" else text)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[str]:
    """Address of a running server of `_Files`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_fetch_takes_masters_from_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broker's file is fetched and stored; one that can't be had doesn't keep the other away; exit 1."""
    with serving() as address:
        monkeypatch.setitem(URLS, "upstox", (f"{address}/complete.json",))
        monkeypatch.setitem(URLS, "dhan", (f"{address}/refused.json",))
        code = run(tmp_path, "fetch", "--broker", "dhan", "--broker", "upstox", "--date", "2025-11-10")
    shown = capsys.readouterr()
    assert code == 1
    assert "upstox.parquet: 100 instruments" in shown.out
    assert shown.err == f"{address}/refused.json: HTTP 403 Forbidden\n"


@pytest.mark.parametrize("path", ["cut.json", "refused.json"])
def test_half_a_download_is_no_master(path: str, tmp_path: Path) -> None:
    """A connection that ends early, or a refusal, is an error that names the address."""
    with serving() as address, pytest.raises(FetchError, match=path):
        download([f"{address}/{path}"], tmp_path, timeout_s=5)


def test_no_server_is_one_line(tmp_path: Path) -> None:
    """An address where nobody listens is named with the reason."""
    with serving() as address:
        pass
    with pytest.raises(FetchError, match="Connection refused"):
        download([f"{address}/complete.json"], tmp_path, timeout_s=5)


def test_the_addresses_are_the_brokers_own_and_https() -> None:
    """Masters come from the brokers over TLS, one address a file, no two of the same name."""
    for urls in URLS.values():
        assert all(url.startswith("https://") for url in urls)
        assert len({url.rpartition("/")[2] for url in urls}) == len(urls)
    assert command_line.today() >= date(2025, 1, 1)
