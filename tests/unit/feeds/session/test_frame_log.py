"""Recorded frames: read again as they came, bounded on disk, and decoded by anybody's command."""

import os
import struct
from pathlib import Path

import pytest

from ray_ingest.errors import InputError
from ray_ingest.feeds.session.adapter import Subscription
from ray_ingest.feeds.session.frame_log import DESCRIPTION, FrameLog, RecordedFrame, main, read_frames

TICKER = struct.pack("<BHBIfI", 2, 16, 1, 2885, 1_425.5, 1_785_000_000 + 19_800)


def recorded(
    folder: Path, *frames: RecordedFrame, file_bytes: int = 1 << 20, total: int = 1 << 24
) -> list[Path]:
    """The files of a log with these frames, oldest first."""
    log = FrameLog(folder, "dhan", file_bytes, total)
    log.describe([Subscription("NSE_EQ|2885", "NSE_EQ:2885", 0.05)])
    for frame in frames:
        log.append(*frame)
    log.close()
    return sorted(folder.iterdir())


def test_frames_are_read_as_they_were_written(tmp_path: Path) -> None:
    """After what is subscribed, in their order, whatever is in them."""
    frames = [RecordedFrame(n, n % 3, os.urandom(n)) for n in range(50)]
    (path,) = recorded(tmp_path / "new", *frames)
    described, *rest = read_frames(path)
    assert rest == frames
    assert (described.connection, described.payload) == (
        DESCRIPTION, b'[["NSE_EQ|2885", "NSE_EQ:2885", 0.05]]',
    )  # fmt: skip


@pytest.mark.parametrize("torn", range(1, 20))
def test_a_torn_tail_costs_one_frame(tmp_path: Path, torn: int) -> None:
    """A crash in the middle of a record leaves all before it."""
    frames = [RecordedFrame(n, 1, b"12345") for n in range(3)]
    (path,) = recorded(tmp_path, *frames)
    os.truncate(path, path.stat().st_size - torn)
    assert list(read_frames(path))[1:] == frames[:2]


def test_the_oldest_files_go(tmp_path: Path) -> None:
    """All files together stay below their bound; each says what was subscribed, and the newest frame is
    there."""
    frames = [RecordedFrame(n, 1, bytes(100)) for n in range(200)]
    files = recorded(tmp_path, *frames, file_bytes=1_000, total=5_000)
    assert 2 <= len(files) <= 5
    assert sum(path.stat().st_size for path in files) <= 5_200
    assert all(next(read_frames(path)).connection == DESCRIPTION for path in files)
    assert list(read_frames(files[-1]))[-1].received_ms == 199


def test_a_full_disk_ends_the_recording_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, and ticks go on."""
    (tmp_path / "file").touch()
    log = FrameLog(tmp_path / "file", "dhan", 1_000, 1_000)
    log.append(1, 1, b"x")
    log.append(2, 1, b"x")
    assert [record.getMessage() for record in caplog.records] == [
        "dhan: frames are recorded no longer: File exists"
    ]


def test_the_command_decodes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line a tick, and how much was none."""
    frames = [RecordedFrame(1_785_000_000_500, 1, TICKER), RecordedFrame(1_785_000_000_600, 1, b"\x02")]
    (path,) = recorded(tmp_path, *frames)
    assert main([str(path), "--broker", "dhan"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1785000000500 #1 NSE_EQ|2885 ")
    assert " 1425.5 " in out
    assert "2 frames, 1 ticks, no ticks: {" in out


@pytest.mark.parametrize(("name", "broker", "said"), [
    ("other", "dhan", "not a file of recorded frames"),
    ("absent", "dhan", "No such file"),
    ("other", "kite", "there is no broker 'kite'; there are: dhan"),
])  # fmt: skip
def test_mistakes_are_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, broker: str, said: str
) -> None:
    """A file that is none, and a broker there isn't."""
    (tmp_path / "other").write_text("something else")
    assert main([str(tmp_path / name), "--broker", broker]) != 0
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_reading_what_is_no_recording_is_an_input_error(tmp_path: Path) -> None:
    """For those who use the function."""
    (tmp_path / "other").write_text("something else")
    with pytest.raises(InputError):
        list(read_frames(tmp_path / "other"))
