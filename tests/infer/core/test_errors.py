import importlib
import inspect
import pkgutil
import re

import infer
from infer.core import errors
from infer.core.errors import ConfigError, DataError, ImageError, LabError, ReproductionError


def drawn_tree(text: str) -> dict[str, str | None]:
    """Each class name with its parent's, from a drawing with four columns per level."""
    parents: dict[str, str | None] = {}
    above: list[str] = []
    for line in text.splitlines():
        if found := re.match(r"    ([│├└─ ]*)(\w+Error)\b", line):
            depth = len(found[1]) // 4
            parents[found[2]] = above[depth - 1] if depth else None
            above[depth:] = [found[2]]
    return parents


def test_the_drawing_in_the_docstring_has_every_class_below_its_parent() -> None:
    defined = {name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)}
    parents = {name: None if kind is LabError else kind.__base__.__name__ for name, kind in defined.items()}
    assert len(parents) > 5
    assert drawn_tree(errors.__doc__ or "") == parents


def test_no_module_of_infer_adds_an_error_of_its_own() -> None:
    for module in pkgutil.walk_packages(infer.__path__, "infer."):
        importlib.import_module(module.name)
    todo, found = [LabError], []
    while todo:
        found.append(todo.pop())
        todo += found[-1].__subclasses__()
    strangers = [
        kind for kind in found if kind.__module__.startswith("infer") and kind.__module__ != "infer.core.errors"
    ]
    assert strangers == []


def test_only_a_wrong_option_exits_with_2_and_only_another_result_with_3() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, LabError)]
    assert {kind for kind in kinds if kind.exit_code == 2} == {ConfigError}
    assert {kind for kind in kinds if kind.exit_code == 3} == {ReproductionError}
    assert {kind.exit_code for kind in kinds} == {1, 2, 3}


def test_an_image_error_says_which_file_and_why() -> None:
    error = ImageError("a/b.jpg", "no such file")
    assert (str(error), error.path, error.reason) == ("a/b.jpg: no such file", "a/b.jpg", "no such file")
    assert isinstance(error, DataError)
