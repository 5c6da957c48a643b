"""The pixels that a graph makes of whole images, compared with Pillow's; part of the evidence of such a file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PixelParity:
    """How near the pixels that a graph makes of whole images are to Pillow's."""

    images: int
    smallest_side: int
    """Of all images, in pixels."""
    largest_side: int
    largest: int
    """Largest difference of a value, in levels of 255."""
    share: float
    """Share of the values that differ."""
    labels_differ: int
    """Labels of the gate's images that differ from the network's for Pillow's pixels."""

    def __str__(self) -> str:
        return (
            f"at most {self.largest} of 255 from Pillow's, in {self.share:.2%} of values, on {self.images} images of "
            f"sides from {self.smallest_side} to {self.largest_side}; labels that differ for it: {self.labels_differ}"
        )
