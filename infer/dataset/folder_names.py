"""What the names of folders say: a split, a part of a set, originals and masks; words are compared in lower case."""

import re
from collections import defaultdict
from collections.abc import Sequence

from infer.dataset.table import TEST, TRAIN, VALID

SPLIT_NAMES = {TRAIN: ("train", "training"), VALID: ("valid", "val", "validation"), TEST: ("test", "testing")}
"""Usual names of each split's folder or table."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SPLIT_WORDS = {word: split for split, words in SPLIT_NAMES.items() for word in words}
IMAGE_WORDS = _words("image images img imgs picture pictures photo photos original originals orig raw input inputs")
MASK_WORDS = _words(
    "mask masks ground truth truths groundtruth groundtruths gt gts annotation annotations segmentation segmentations "
    "segmented seg segs contour contours overlay overlays superpixels labels labelled binary manual"
)
MASK_FOLDERS = ("groundtruth", "groundtruths", "segmentationclass", "segmentationobject")
"""Names of folders of masks, as in many sets and in PASCAL VOC, without what separates their words."""
SURE_MASK_WORDS = MASK_WORDS - _words("mask labelled manual binary ground truth truths segmented seg segs")
"""A folder with such a name holds masks, whatever lies beside it; `mask` and `segmented` may be classes."""
COPY_WORDS = _words(
    "augmented augmentation augmentations enhanced preprocessed processed resized cropped normalized normalised "
    "filtered denoised thumbnail thumbnails thumbs"
)
PART_WORDS = _words(
    "part parts batch batches chunk chunks fold folds split subset shard shards disk disks disc discs volume volumes "
    "vol archive archives zip set dataset datasets data folder dir patient patients subject subjects case cases slide "
    "slides scan scans series session sessions run runs site sites hospital hospitals"
)
FILLER_WORDS = _words("a all and of the set sets data dataset folder files jpeg jpg png tif tiff bmp")


def words_of(name: str) -> list[str]:
    """Split a name into words and numbers in lower case: `TrainSet_2b` -> train, set, 2, b."""
    return [word.lower() for word in re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])|\d+", name)]


def split_of(name: str) -> str | None:
    """Return the split that a folder's name means, as `train`, `TestB` and `validation_set` do; None if none."""
    words = [_unglued(word) for word in words_of(name)]
    rest = [word for word in words if not _counts(word) and word not in FILLER_WORDS | IMAGE_WORDS]
    return SPLIT_WORDS.get(rest[0]) if len(rest) == 1 else None


def numbered_parts(names: Sequence[str]) -> list[str]:
    """Return names that differ only in a number or letter after a word such as `part`: `images_001`, `images_002`.

    The first may go without (`images`, `images 2`), and the number of all may follow (`part1of2`).
    """
    by_stem: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in names:
        words = [_unglued(word) for word in words_of(name)]
        if len(words) > 3 and words[-2] == "of" and words[-1].isdigit() and words[-3].isdigit():
            words = words[:-2]
        stem = words[:-1] if len(words) > 1 and _counts(words[-1]) else words
        if stem and stem[-1] in PART_WORDS | IMAGE_WORDS | set(SPLIT_WORDS):
            by_stem[tuple(stem)].append(name)
    return next((parts for parts in by_stem.values() if len(parts) > 1), [])


def splits_by_name(names: Sequence[str]) -> list[str]:
    """Return all names where they differ only in words for splits: `X_Training_Input`, `X_Test_Input`; else none."""
    rest = [set(words) for words in _without_common(names)]
    named = [words & SPLIT_WORDS.keys() for words in rest]
    return list(names) if len(names) > 1 and all(named) and all(map(_only_splits, rest)) else []


def masks_and_copies(names: Sequence[str]) -> list[str]:
    """Return names of folders that hold originals and what was made of them, such as `Ground Truth`; else none."""
    rest = [[w for w in words if not _counts(w) and w not in FILLER_WORDS] for words in _without_common(names)]
    plain = [[w for w in words_of(name) if not _counts(w) and w not in FILLER_WORDS] for name in names]
    originals = [name for name, words in zip(names, rest, strict=True) if words and set(words) <= IMAGE_WORDS]
    derived = [name for name, words in zip(names, rest, strict=True) if words and set(words) <= MASK_WORDS | COPY_WORDS]
    if originals and derived:
        return [originals[0], *derived]
    if beside := _made_of_another(names):
        return beside
    return [name for name, words in zip(names, plain, strict=True) if _is_ground_truth(words)]


def _made_of_another(names: Sequence[str]) -> list[str]:
    """Return a name and one with words for masks or copies added, as `benign` and `benign_mask`; else none."""
    by_words = {tuple(words_of(name)): name for name in names}
    for words, name in by_words.items():
        length = len(words)
        while length and (words[length - 1] in MASK_WORDS | COPY_WORDS or words[length - 1].isdigit()):
            length -= 1
        if length and set(words[length:]) & (MASK_WORDS | COPY_WORDS) and words[:length] in by_words:
            return [by_words[words[:length]], name]
    return []


def _is_ground_truth(words: Sequence[str]) -> bool:
    return bool(words) and (set(words) <= SURE_MASK_WORDS or "".join(words) in MASK_FOLDERS)


def _only_splits(words: set[str]) -> bool:
    return all(word in SPLIT_WORDS or word in FILLER_WORDS | IMAGE_WORDS or _counts(word) for word in words)


def _without_common(names: Sequence[str]) -> list[list[str]]:
    """Return the words of each name without those that all names have."""
    words = [words_of(name) for name in names]
    common = set.intersection(*map(set, words)) if len(words) > 1 else set()
    return [[word for word in own if word not in common] for own in words]


def _unglued(word: str) -> str:
    """Return `train` for `trainset`, `test` for `testdata`; any other word as it is."""
    match = re.fullmatch(rf"({'|'.join(SPLIT_WORDS)})(?:sets?|data|images|imgs)", word)
    return match[1] if match else word


def _counts(word: str) -> bool:
    """Whether a word is a number, a single letter, or a small Roman number."""
    return word.isdigit() or len(word) == 1 or word in ("ii", "iii", "iv", "vi", "vii", "viii", "ix")
