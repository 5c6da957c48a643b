"""The tables of a day on a GPU: what is rendered, what is refused, what a target compares. All figures are made up."""

import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
ORIGIN = {
    "dry_run": False,
    "machine": "x86_64, 16 cores, a made-up GPU",
    "versions": {"torch": "2.11.0", "triton": "?"},
}
WITHOUT_FIGURES = "No GPU has been measured"


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import gpu_tables

    return gpu_tables


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A copy of the page."""
    return Path(shutil.copy(ROOT / "docs" / "performance.md", tmp_path))


def line(step: str, started: str = "2026-01-01T00:00:00Z", **row: object) -> dict[str, object]:
    return {"step": step, "started": started, **ORIGIN, **row}


def predicted(network: str, decode: str, lab: float, share: float, **changes: object) -> dict[str, object]:
    columns = {"network": network, "decoded on": decode, "lab": lab, "lab / bound": share, "n": 3}
    return {**line(f"predict-{decode}"), **columns, **changes}


def trained(batch: int, warm: float, share: float, compiled: bool) -> dict[str, object]:
    columns = {"network": "resnet18", "batch": batch, "compiled": compiled, "lab, warm": warm, "warm / bare": share}
    return {**line(f"training-{batch}"), **columns, "n": 3}


def save(folder: Path, *rows: dict[str, object], end: str = "") -> Path:
    path = folder / "results.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + end)
    return path


def test_the_page_says_that_no_gpu_was_measured_until_results_are_rendered(
    tables: ModuleType, page: Path, tmp_path: Path
) -> None:
    before = page.read_text()
    between = before.partition(tables.BEGIN)[2].partition(tables.END)[0]
    assert between.strip() == f"{WITHOUT_FIGURES}: none was at hand."
    tables.render(save(tmp_path, predicted("resnet50", "gpu", 12345.6, 0.934)), page)
    after = page.read_text()
    assert WITHOUT_FIGURES not in after
    assert "| resnet50 | gpu | 12,346 | 93.4% |" in after
    assert "a made-up GPU; torch 2.11.0." in after
    assert after.partition(tables.BEGIN)[0] == before.partition(tables.BEGIN)[0]
    assert after.partition(tables.END)[2] == before.partition(tables.END)[2]


def test_rendering_again_replaces_the_tables(tables: ModuleType, page: Path, tmp_path: Path) -> None:
    tables.render(save(tmp_path, predicted("resnet50", "gpu", 11111.0, 0.9)), page)
    first = page.read_text()
    tables.render(save(tmp_path, predicted("resnet50", "gpu", 22222.0, 0.9)), page)
    assert page.read_text() == first.replace("11,111", "22,222").replace("| missed |", "| met |", 1)
    assert page.read_text().count(tables.BEGIN) == 1


def test_each_figure_is_compared_with_its_target(tables: ModuleType, page: Path, tmp_path: Path) -> None:
    rows = [
        predicted("resnet18", "cpu", 9000.0, 0.97),
        predicted("resnet50", "cpu", 13000.0, 0.899),  # not decoded on the GPU: no figure for the second target
        predicted("resnet50", "gpu", 12000.0, 0.95),
        trained(256, 14999.0, 0.96, False),
        trained(64, 15100.0, 0.951, True),
    ]
    message = tables.render(save(tmp_path, *rows), page)
    lines = [row for row in page.read_text().splitlines() if row.endswith(("| met |", "| missed |"))]
    cells = [[part.strip() for part in row.strip("|").split("|")][1:] for row in lines]
    assert cells == [
        ["90.0%", "89.9%", "missed"],
        ["12,000", "12,000", "met"],
        ["95.0%", "95.1%", "met"],
        ["15,000", "15,100", "met"],
    ]
    assert message.endswith("3 of 4 targets are met")


def test_a_figure_that_was_not_measured_neither_meets_nor_misses_its_target(
    tables: ModuleType, page: Path, tmp_path: Path
) -> None:
    tables.render(save(tmp_path, predicted("resnet18", "gpu", 20000.0, 0.99)), page)
    rows = [row for row in page.read_text().splitlines() if "not measured" in row]
    assert len(rows) == 3
    assert not any("met |" in row or "missed" in row for row in rows)


@pytest.mark.parametrize("mark", [{"dry_run": True}, {"dry_run": None}, {"dry_run": "false"}])
def test_results_of_a_dry_run_are_never_rendered(
    tables: ModuleType, page: Path, tmp_path: Path, mark: dict[str, object]
) -> None:
    before = page.read_bytes()
    good = predicted("resnet18", "gpu", 1.0, 1.0)
    results = save(tmp_path, good, {**good, "step": "sizes", **mark})
    with pytest.raises(SystemExit, match="dry run"):
        tables.render(results, page)
    assert page.read_bytes() == before


@pytest.mark.parametrize("change", [{"machine": "another GPU"}, {"versions": {"torch": "2.14.1"}}])
def test_results_of_two_machines_are_not_rendered_as_one(
    tables: ModuleType, page: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    results = save(tmp_path, predicted("resnet18", "gpu", 1.0, 1.0), predicted("resnet18", "cpu", 1.0, 1.0, **change))
    with pytest.raises(SystemExit, match="several machines or versions"):
        tables.render(results, page)
    assert WITHOUT_FIGURES in page.read_text()


def test_results_without_a_figure_leave_the_page_alone(tables: ModuleType, page: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no figures"):
        tables.render(save(tmp_path, line("doctor", status="failed", reason="ended with 1")), page)
    assert WITHOUT_FIGURES in page.read_text()


def test_a_page_without_the_markers_is_refused(tables: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Speed\n")
    with pytest.raises(SystemExit, match="lacks the lines"):
        tables.render(save(tmp_path, predicted("resnet18", "gpu", 1.0, 1.0)), page)
    assert page.read_text() == "# Speed\n"


def test_the_latest_attempt_counts_and_steps_that_failed_are_named(
    tables: ModuleType, page: Path, tmp_path: Path
) -> None:
    later = "2026-01-01T01:00:00Z"
    rows = [
        predicted("resnet18", "gpu", 111.0, 0.5),
        line("predict-gpu", status="out of time", reason="ended after 90 s"),
        predicted("resnet18", "gpu", 222.0, 0.95, started=later),
        line("predict-gpu", later, status="finished", seconds=3.0),
        line("graphs", status="failed", reason="ended with 1"),
        line("predict-gpu", "2026-01-01T02:00:00Z", status="not run", reason="1 of 9 s are left, it may take 90"),
    ]
    tables.render(save(tmp_path, *rows, end='{"step": "cut off'), page)
    text = page.read_text()
    assert "| 222 |" in text
    assert "111" not in text.partition(tables.BEGIN)[2].partition(tables.END)[0]
    assert "- graphs: failed (ended with 1)" in text
    assert "predict-gpu:" not in text


def test_text_from_outside_cannot_break_a_table(tables: ModuleType) -> None:
    assert tables.cell("problem", "a|b\nc") == "a\\|b c"
