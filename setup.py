"""Installs everything below one package, `lab`: infer/ becomes lab.infer, cli.py becomes lab.cli.

In the repository the packages lie at the top level and import each other by their own names. Installed under these
names they would collide with a user's cli.py or infer.py and with other distributions (`trainer` is one). So a wheel
gets copies below lab/ whose imports are rewritten. An editable install uses the repository's files as they are.
"""

import ast
import re
import shutil
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.egg_info import egg_info

MOVED = ("cli", "exporter", "infer", "trainer")
"""The modules and packages of the top level that go below `lab`."""


def below_lab(source: bytes) -> bytes:
    """A module's source with the absolute imports of MOVED modules made imports from `lab`.

    `from infer.x import y` becomes `from lab.infer.x import y`; `import infer.x`, which binds the name `infer`,
    becomes `import lab.infer.x, lab.infer as infer`. Nothing else changes, and no line moves.
    """
    for position, text in sorted(_insertions(source), reverse=True):
        source = source[:position] + text + source[position:]
    return source


def _insertions(source: bytes) -> Iterator[tuple[int, bytes]]:
    """Byte offsets in a module's source, and what `below_lab` inserts there."""
    line_starts = list(accumulate(map(len, source.splitlines(keepends=True)), initial=0))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and not node.level and _is_moved(node.module):
            # the tree has no position for the module's name, but only blanks can stand between it and `from`
            blanks = re.compile(rb"from[\s\\]+").match(source, line_starts[node.lineno - 1] + node.col_offset)
            yield blanks.end(), b"lab."
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if _is_moved(alias.name):
                    yield line_starts[alias.lineno - 1] + alias.col_offset, b"lab."
                if _is_moved(alias.name) and not alias.asname:
                    bound = alias.name.partition(".")[0]
                    end = line_starts[alias.end_lineno - 1] + alias.end_col_offset
                    yield end, f", lab.{bound} as {bound}".encode()


def _is_moved(module: str) -> bool:
    return module.partition(".")[0] in MOVED


class BuildBelowLab(build_py):
    """Builds into lab/ whatever lies at the top level; leaves an editable install alone."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if not self.editable_mode:
            self.package_dir = {f"lab.{name}": name for name in MOVED} | {"lab": "lab"}
            self.packages = ["lab", *(f"lab.{name}" for name in self.packages if name != "lab")]

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)  # setuptools would pack what an earlier build left there
        super().run()

    def find_modules(self) -> list[tuple[str, str, str]]:
        found = super().find_modules()
        return found if self.editable_mode else [("lab", name, path) for _, name, path in found]

    def build_module(self, module: str, module_file: str, package: str) -> tuple[str, bool]:
        target, copied = super().build_module(module, module_file, package)
        Path(target).write_bytes(below_lab(Path(module_file).read_bytes()))
        return target, copied


class OneTopLevel(egg_info):
    """Names `lab` alone as what is installed at the top level."""

    def run(self) -> None:
        super().run()
        Path(self.egg_info, "top_level.txt").write_text("lab\n", encoding="utf-8")


if __name__ == "__main__":
    setup(cmdclass={"build_py": BuildBelowLab, "egg_info": OneTopLevel})
