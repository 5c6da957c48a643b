"""Advisory locks on open files: they end with the process that holds them, however it ends."""

import os
import sys

if sys.platform == "win32":
    import msvcrt

    FAR = 1 << 30
    """Position of the byte that is locked: a locked byte cannot be read, so it must lie behind all content."""

    def try_lock(descriptor: int, shared: bool = False) -> bool | None:
        """Lock an open file until it is closed; False where another process has it, None where there are no locks.

        Windows has exclusive locks alone: `shared` makes no difference.
        """
        os.lseek(descriptor, FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        except OSError:
            return None
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def try_lock(descriptor: int, shared: bool = False) -> bool | None:
        """Lock an open file until it is closed; False where another has it locked, None where there are no locks.

        Args:
            descriptor: of a file or a folder; a second descriptor of this process counts as another.
            shared: others may have it locked too, if they share it as well.
        """
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return None
        return True


def is_at(descriptor: int, path: str | os.PathLike[str]) -> bool:
    """Whether an open file or folder still has the name `path`: its owner may have deleted or renamed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False
