"""Files that torch.save wrote, which are zip files: what a stranger's may not contain."""

import zipfile
from pathlib import Path


def require_stored(path: Path) -> None:
    """Raise BadZipFile where an entry is compressed, as torch.save writes none: it may claim any amount of memory.

    A file that is no zip file is not looked at. Raises OSError too.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > entry.compress_size:
                raise zipfile.BadZipFile(f"its entry {entry.filename} is compressed")
