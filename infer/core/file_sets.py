"""Several files that appear together: all of them, or none.

All drafts are complete and on the disk before the first file gets its name. The few renames that follow are listed in a
journal beside the main file, so that where a process is killed between two of them, the next one to read or to write
these files carries out the rest (`finish_interrupted`).
"""

import contextlib
import json
import os
import stat
import time
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

from infer.core.drafts import READ_DRAFT, Draft, hidden_names
from infer.core.errors import OutputError
from infer.core.files import cannot_write, open_draft, publish, remove, sha256_of
from infer.core.locks import is_at, try_lock
from infer.core.parse import parse_json
from infer.core.remote import uri_of

PAUSE = 0.01
"""Seconds between two looks at a journal that another process carries out."""
WITHOUT_LOCKS = 60.0
"""Seconds after which a journal counts as left behind where the file system has no locks."""
MOST_DRAFTS = 64
"""Hidden names of one file that a journal may use."""
LARGEST_JOURNAL = 1 << 20
"""Bytes that are read of a journal; lab's have some hundreds."""


class FileSet:
    """Collects the drafts of files and the names of files to delete; made by `file_set`."""

    def __init__(self, main: Path, stack: contextlib.ExitStack) -> None:
        self.main = main
        self._stack = stack
        self._drafts: dict[Path, Draft] = {}
        self._removed: list[Path] = []

    def draft(self, path: Path, beside: bool = False) -> Path:
        """Return where to write the content of `path`, a file or a URI; `beside`: in its folder. Raises OutputError."""
        self._drafts[path] = self._stack.enter_context(open_draft(path, beside))
        return self._drafts[path].path

    def sha256(self, path: Path) -> str:
        """SHA-256 of what was written to the draft of `path`, in hexadecimal. Raises OutputError."""
        try:
            return sha256_of(self._drafts[path].path)
        except OSError as error:
            raise cannot_write(path, error) from error

    def write(self, path: Path, content: bytes) -> None:
        """Add a file with this content. Raises OutputError."""
        try:
            self.draft(path).write_bytes(content)
        except OSError as error:
            raise cannot_write(path, error) from error

    def write_text(self, path: Path, content: str) -> None:
        """Add a UTF-8 file; surrogates become the bytes that they stand for. Raises OutputError."""
        self.write(path, content.encode("utf-8", "surrogateescape"))

    def remove(self, path: Path) -> None:
        """Add a file, or a URI, to be deleted, if there is one."""
        self._removed.append(path)

    def publish(self) -> None:
        """Give all files their names, the main one last, and delete those to be removed. Raises OutputError."""
        order = sorted(self._drafts, key=lambda path: path == self.main)
        removed = [path for path in self._removed if uri_of(path) or os.path.lexists(path)]
        for path in [path for path in order if uri_of(path)]:
            publish(self._drafts.pop(path), path)
        drafts = [self._drafts[path] for path in order if path in self._drafts]
        for path in [path for path in removed if uri_of(path)]:
            remove(path)
        local = [path for path in removed if not uri_of(path)]
        if drafts or local:
            self._publish_local(drafts, local)

    def _publish_local(self, drafts: list[Draft], removed: list[Path]) -> None:
        current = self.main
        try:
            for draft in drafts:
                current = draft.target
                draft.flush()
            if len(drafts) == 1 and not removed:
                drafts[0].publish()
                return
            current = drafts[-1].target if drafts else removed[-1]
            moves: Moves = [(draft.named(), draft.target) for draft in drafts]
            moves += [(path, None) for path in removed]
            with contextlib.ExitStack() as journals:
                for main, beside in self._by_folder(moves):
                    journals.enter_context(_journal(main, beside))
                try:
                    _carry_out_twice(moves)
                finally:
                    if _is_begun(moves):  # those that were not moved are the journal's now
                        for draft in drafts:
                            draft.abandon()
        except OSError as error:
            raise cannot_write(current, error) from error

    def _by_folder(self, moves: "Moves") -> "Iterator[tuple[Path, Moves]]":
        """The main file of each folder that has several moves, and these: the set's, or the first that was added."""
        folders: dict[Path, Moves] = {}
        for move in moves:
            folders.setdefault(move[0].parent, []).append(move)
        added = [draft.target for draft in self._drafts.values()] + self._removed
        for folder, beside in folders.items():
            names = [path for path in added if path.parent == folder]
            if len(beside) > 1:
                yield self.main if self.main in names else names[0], beside


Moves = list[tuple[Path, Path | None]]
"""Files and what they become: another path, or None, where the file is deleted."""


@contextlib.contextmanager
def file_set(main: Path) -> Iterator[FileSet]:
    """Yield a set of files, which appear together when the block ends; where it fails, no file has changed.

    Args:
        main: the file by which a reader knows that the set is there; it is published last, and the journal is named
            after it.

    Raises:
        OutputError: a file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        files = FileSet(main, stack)
        yield files
        files.publish()


def finish_interrupted(main: Path, names: Collection[str] | None) -> None:
    """Carry out what a killed process left to do in a set of files, before they are read or written.

    Args:
        main: the set's main file.
        names: the files that may belong to the set; a journal that names others is not followed, since a data set may
            come from anyone. None: any files, and none is deleted, as before a set replaces them.

    Raises:
        OutputError: the folder cannot be written, or the journal is not one of these files.
    """
    journal = _journal_path(main)
    try:
        content = _content_if_left(journal)
        if content is not None:
            _carry_out(_read_moves(journal, content, names))
            journal.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(main, error) from error


def _journal_path(main: Path) -> Path:
    return next(hidden_names(main)).with_suffix(".journal")


def _content_if_left(journal: Path) -> bytes | None:
    """The content of a journal whose process was killed; None once there is none. Raises OSError, OutputError."""
    while True:
        try:
            if not stat.S_ISREG(os.lstat(journal).st_mode):  # a pipe or a link that came with a data set
                raise OutputError(f"{journal} is not a file that lab wrote; delete it")
            with os.fdopen(os.open(journal, READ_DRAFT), "rb") as file:
                locked, age = try_lock(file.fileno()), time.time() - os.fstat(file.fileno()).st_mtime
                if is_at(file.fileno(), journal) and (locked or (locked is None and age > WITHOUT_LOCKS)):
                    return file.read(LARGEST_JOURNAL)
        except FileNotFoundError:
            return None
        time.sleep(PAUSE)


def _read_moves(journal: Path, content: bytes, names: Collection[str] | None) -> Moves:
    """Raises OutputError for anything that `_journal` would not have written for these files."""
    try:
        moves = [(str(old), str(new)) for old, new in parse_json(content)]
        own = all(not new or _is_hidden_name(old, new) for old, new in moves)
    except (ValueError, TypeError) as error:
        raise OutputError(f"{journal} is damaged ({error}); delete it, and write the files beside it again") from error
    known = all((new or old) in names for old, new in moves) if names is not None else True
    if not known or not own:
        raise OutputError(f"{journal} names files that lab did not write there; delete it")
    folder = journal.parent
    return [(folder / old, folder / new if new else None) for old, new in moves if new or names is not None]


def _is_hidden_name(name: str, target: str) -> bool:
    """Whether a name is that of a draft of another, which is in the same folder."""
    plain = Path(target).name == target and "\0" not in target
    return plain and any(name == path.name for path in islice(hidden_names(Path(target)), MOST_DRAFTS))


@contextlib.contextmanager
def _journal(main: Path, moves: Moves) -> Iterator[None]:
    """Keep a journal of the moves in the folder of `main` while they are carried out. Raises OSError, OutputError.

    The journal stays where a block fails that has begun to move files.
    """
    names = [(old.name, new.name if new else "") for old, new in moves]
    path = _journal_path(main)
    with contextlib.closing(Draft(path)) as draft:
        draft.path.write_text(json.dumps(names), encoding="utf-8")
        while True:
            finish_interrupted(main, None)
            with contextlib.suppress(FileExistsError):  # another process is publishing now
                draft.publish_new()
                break
        try:
            yield
        finally:
            if not _is_begun(moves) or not any(os.path.lexists(old) for old, _ in moves):
                path.unlink(missing_ok=True)


def _is_begun(moves: Moves) -> bool:
    """Whether a file was moved."""
    return not all(os.path.lexists(old) for old, _ in moves)


def _carry_out_twice(moves: Moves) -> None:
    """Carry out the moves, at a second attempt where one fails in the middle. Raises OSError."""
    try:
        _carry_out(moves)
    except OSError:
        if not _is_begun(moves):
            raise
        _carry_out(moves)


def _carry_out(moves: Moves) -> None:
    """Move the files that were not moved yet. Raises OSError."""
    for old, new in moves:
        with contextlib.suppress(FileNotFoundError):
            if new is None:
                os.unlink(old)
            else:
                os.replace(old, new)
