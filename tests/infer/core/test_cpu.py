from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.onnx_files import without_evidence

from infer.core import cpu
from infer.core.cpu import bf16_problem, fast_bf16, instructions, int8_problem, processor, vendor
from infer.doctor import examine


def test_instructions_are_those_of_the_processors_flags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("model name : X\nflags : fpu avx2 avx512_vnni sse\n")
    monkeypatch.setattr(cpu, "Path", lambda name: tmp_path / "cpuinfo")
    assert instructions() == ("avx2", "avx512_vnni")
    (tmp_path / "cpuinfo").unlink()
    assert instructions() == ()


@pytest.mark.parametrize("last", cpu.INT8_INSTRUCTIONS)
def test_avx2_alone_is_a_problem_for_int8_and_vnni_or_amx_is_none(last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, good in ((("avx2",), False), (("avx2", "avx512f"), False), (("avx2", last), True), ((), True)):
        monkeypatch.setattr(cpu, "instructions", lambda flags=flags: flags)
        assert (int8_problem() is None) is good


@pytest.mark.parametrize(
    ("maker", "flags", "fast"),
    [
        ("GenuineIntel", "avx2", None),
        ("GenuineIntel", "avx512f avx512_bf16", None),
        ("GenuineIntel", "avx512f avx512_bf16 amx_bf16", "amx_bf16"),
        ("AuthenticAMD", "avx2 avx512f", None),
        ("AuthenticAMD", "avx512f avx512_bf16", "avx512_bf16"),
    ],
)
def test_bfloat16_gains_with_amx_and_with_amds_avx_512_and_with_no_other(
    maker: str, flags: str, fast: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nvendor_id\t: {maker}\nmodel name\t: X\nflags\t: {flags}\n")
    monkeypatch.setattr(cpu, "Path", lambda name: tmp_path / "cpuinfo")
    assert (fast_bf16(), processor(), vendor()) == (fast, "X", maker)
    assert (bf16_problem() is None) is bool(fast)


def test_a_system_that_reports_no_instructions_is_not_known_to_lose_by_bfloat16(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cpu, "Path", lambda name: tmp_path / "none")
    assert (bf16_problem(), fast_bf16(), vendor()) == (None, None, None)
    assert processor()


def test_predicting_with_int8_on_a_processor_without_its_instructions_says_so(
    lab: Callable, model: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    int8 = tmp_path / "int8.onnx"
    int8.write_bytes(model.read_bytes())

    def relabel(changed) -> None:  # type: ignore[no-untyped-def]
        changed.metadata_props[0].value = changed.metadata_props[0].value.replace('"fp32"', '"int8"')

    without_evidence(int8, relabel)
    arguments = ("predict", cells / "test", "--no-sample", "--out", tmp_path / "o.csv", "--model")
    monkeypatch.setattr(cpu, "instructions", lambda: ("avx2",))
    assert f"note: this processor has AVX2 without VNNI, and {int8} has 8-bit weights" in lab(*arguments, int8).out
    assert "VNNI" not in lab(*arguments, model).out
    monkeypatch.setattr(cpu, "instructions", lambda: ("avx2", "avx_vnni"))
    assert "VNNI" not in lab(*arguments, int8).out


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),  # a container's group, as it sees it
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000", "cpu.max": "max 100000"}, 0.5),
        ("0::/a", {"a/cpu.max": "max 100000"}, None),
        (
            "3:cpu,cpuacct:/j",
            {"cpu,cpuacct/j/cpu.cfs_quota_us": "20000", "cpu,cpuacct/j/cpu.cfs_period_us": "10000"},
            2,
        ),
        ("3:cpu:/gone", {"cpu/cpu.cfs_quota_us": "75000", "cpu/cpu.cfs_period_us": "50000"}, 1.5),
        ("3:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "50000"}, None),
        ("3:memory:/", {"memory/cpu.cfs_quota_us": "1", "memory/cpu.cfs_period_us": "5"}, None),
        ("0::/", {"cpu.max": "no number"}, None),
        ("", {}, None),
    ],
)
def test_a_quota_is_the_smallest_of_the_groups_that_a_process_is_in(
    membership: str, files: dict[str, str], expected: float | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "membership").write_text(membership + "\n")
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    monkeypatch.setattr(cpu, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(cpu, "CGROUPS", tmp_path)
    assert cpu.quota() == expected


@pytest.mark.parametrize(
    ("limit", "usable", "limited"),
    [(None, 4, False), (0.3, 1, True), (1.5, 2, True), (4.0, 4, False), (64.0, 4, False)],
)
def test_a_quota_is_rounded_up_to_cores(
    limit: float | None, usable: int, limited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "allowed_cores", lambda: 4)
    monkeypatch.setattr(cpu, "quota", lambda: limit)
    assert (cpu.cores(), cpu.is_limited()) == (usable, limited)


def test_doctor_and_predict_say_that_a_quota_limits_the_cores(
    lab: Callable, model: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("predict", cells / "test", "--no-sample", "--out", tmp_path / "o.csv", "--model", model)
    assert "quota" not in lab(*arguments).out
    monkeypatch.setattr(cpu, "allowed_cores", lambda: 16)
    monkeypatch.setattr(cpu, "quota", lambda: 1.5)
    expected = "2 of 16 cores used, by a quota of 1.5; threads that wait do not spin"
    assert expected in " ".join(lab(*arguments).out.split())
    assert expected in dict(examine().rows)["processor"]
