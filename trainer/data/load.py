"""From the data set that the user names to decoded images: read, split, show, decode, check."""

from dataclasses import replace
from typing import cast

from infer.core.console import Screen
from infer.core.errors import DataError
from infer.core.files import expand_home
from infer.core.text import left_out, listed
from infer.dataset.exclude import read_without_excluded
from infer.dataset.stratify import with_validation
from infer.dataset.summary import show_table
from infer.dataset.table import TEST, TRAIN, VALID, Table
from infer.dataset.validation import check_trainable
from infer.images.colour import bits_for
from infer.images.preprocess import PixelSpec
from infer.images.survey import survey
from trainer.choices import Bits
from trainer.config import ResolvedConfig
from trainer.data.cache import Canvases, load_canvases
from trainer.data.pixel_spec import AUTO
from trainer.data.synthetic import builtin_data


def read_data(settings: ResolvedConfig, screen: Screen) -> Table:
    """Read the data set of --data, or the built-in one, split off validation images where it has none, and show it.

    Raises:
        DataError: the data set is not usable.
        OutputError: the built-in set cannot be written.
    """
    data = expand_home(settings.data) if settings.data else None
    if data is None and settings.labels is None:
        data = builtin_data(screen)
        screen.say("no --data given: using the built-in SYNTHETIC cells, which are drawings, not cells of patients")
    exclude = expand_home(settings.exclude) if settings.exclude else None
    table = read_without_excluded(data, settings, settings.fold, exclude, screen)
    check_trainable(table)
    table = with_validation(table, settings.seed)
    show_table(table, screen)
    return table


def with_bits(settings: ResolvedConfig, table: Table, screen: Screen) -> ResolvedConfig:
    """The settings with a number for `--bits auto`: the fewest bits that hold the largest value of the images.

    All training and validation images of more than 8 bits are decoded for it; without any it is 16.
    """
    if settings.bits != AUTO:
        return settings
    seen = survey(_used(table).files(), complete=True)
    if seen.largest is None:
        screen.say("--bits auto: no image has more than 8 bits per channel")
        return replace(settings, bits="16")
    bits = bits_for(seen.largest)
    screen.say(f"--bits auto: {bits}, as the largest value of {len(seen.deep)} images is {seen.largest:,}")
    return replace(settings, bits=cast(Bits, str(bits)))


def _used(table: Table) -> Table:
    return table.take([row for row, split in enumerate(table.splits) if split != TEST])


def load_data(table: Table, settings: ResolvedConfig, spec: PixelSpec, screen: Screen) -> Canvases:
    """Decode the table's training and validation images; those that cannot be read are left out and named.

    Raises:
        DataError: too few images or classes remain.
        OutputError: the cache cannot be written.
    """
    used = _used(table)
    for note in survey(used.files()).notes(spec.bits, spec.dicom_window):
        screen.say(note)
    canvases = load_canvases(used, spec, settings.workers, screen)
    if canvases.bad:
        names = listed([str(error) for error in canvases.bad])
        screen.say(f"{left_out(len(canvases.bad))}: {names}")
    if not len(canvases.table):
        raise DataError(f"none of the {len(used)} images in {table.source} can be read; check the files")
    check_trainable(canvases.table)
    images = sum(canvases.table.counts(TRAIN))
    if images < settings.batch_size:
        remedy = f"give --batch-size {images} or less" if images > 1 else "add images"
        raise DataError(f"{images} training images are fewer than the batch size of {settings.batch_size}; {remedy}")
    if not sum(canvases.table.counts(VALID)):
        raise DataError(f"no validation image of {table.source} can be read; lab needs some to choose the best epoch")
    return canvases
