"""Runs a notebook, and reads what came out: tables, prints and pictures."""

import base64
import html
import io
import re
from pathlib import Path

import matplotlib.image
import nbformat
import numpy as np
import numpy.typing as npt
from nbclient import NotebookClient

GREEN, RED = (38, 166, 154), (239, 83, 80)

Row = list[str]
Pixels = npt.NDArray[np.int64]


def execute(notebook: Path) -> list[nbformat.NotebookNode]:
    """Run it from its own folder; what its code cells put out. Raises CellExecutionError."""
    cells = nbformat.read(notebook, nbformat.NO_CONVERT)
    folder = {"metadata": {"path": str(notebook.parent)}}
    NotebookClient(cells, timeout=120, kernel_name="python3", resources=folder).execute()
    return [output for cell in cells.cells if cell.cell_type == "code" for output in cell.outputs]


def table(outputs: list[nbformat.NotebookNode], *columns: str) -> list[Row]:
    """Rows of the one table whose header has all these columns, in the notebook's order of columns."""
    found = []
    for output in outputs:
        text = html.unescape(output.get("data", {}).get("text/html", ""))
        head = re.findall(r"<th>(.*?)</th>", text)
        if set(columns) <= set(head):
            places = [head.index(column) for column in columns]
            rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", text)]
            found.append([[row[place].strip('"') for place in places] for row in rows if row])
    assert len(found) == 1, f"{len(found)} tables have {columns}"
    return found[0]


def agreement(outputs: list[nbformat.NotebookNode]) -> list[Row]:
    """The table of equal fields: an instrument, then per cents."""
    fields = ("open", "high", "low", "close", "volume", "all prices", "range inside")
    return table(outputs, "instrument", *(f"{field} %" for field in fields))


def printed(outputs: list[nbformat.NotebookNode]) -> str:
    """What was printed; warnings and log lines too."""
    assert not [output for output in outputs if output.output_type == "error"]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def pictures(outputs: list[nbformat.NotebookNode]) -> list[Pixels]:
    """Every picture, as height × width × (red, green, blue)."""
    drawn = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    read = [matplotlib.image.imread(io.BytesIO(base64.b64decode(png))) for png in drawn]
    return [np.rint(picture[:, :, :3] * 255).astype(np.int64) for picture in read]


def quarters(picture: Pixels) -> list[Pixels]:
    """Its four corners."""
    height, width = (size // 2 for size in picture.shape[:2])
    return [picture[y : y + height, x : x + width] for y in (0, height) for x in (0, width)]


def coloured(picture: Pixels, colour: tuple[int, int, int]) -> int:
    """How many of its pixels have exactly this colour."""
    return int((picture == colour).all(axis=2).sum())


def assert_candles_over_volume(picture: Pixels, least: int = 1_000) -> None:
    """Green and red candles above, green and red bars below."""
    height, width = picture.shape[:2]
    assert width > height > 400
    for colour in (GREEN, RED):
        assert coloured(picture[: height * 2 // 3], colour) > least, "no candles of this colour"
        assert coloured(picture[height * 3 // 4 :], colour) > least, "no volume bars of this colour"
