"""DICOM files, made with pydicom."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid


def dicom_header(pixels: NDArray[Any], **values: Any) -> Dataset:
    """A file's data set: pixels [h, w] or [h, w, 3], of one frame, and what else is named."""
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    colour = pixels.ndim == 3
    header.Rows, header.Columns = pixels.shape[:2]
    header.SamplesPerPixel = 3 if colour else 1
    if colour:
        header.PlanarConfiguration = 0
    header.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 8 * pixels.dtype.itemsize
    header.PixelRepresentation = int(pixels.dtype.kind == "i")
    header.PixelData = pixels.tobytes()
    for name, value in values.items():
        setattr(header, name, value)
    header.HighBit = header.BitsStored - 1
    return header


def dicom_bytes(header: Dataset) -> bytes:
    """The content of a file."""
    content = io.BytesIO()
    header.save_as(content, enforce_file_format=True)
    return content.getvalue()


def save_dicom(path: Path, pixels: NDArray[Any], **values: Any) -> str:
    """Write a file as `dicom_header` describes it; returns the path."""
    path.write_bytes(dicom_bytes(dicom_header(pixels, **values)))
    return str(path)


def save_encapsulated(path: Path, picture: bytes, syntax: str, pixels: NDArray[np.uint8], **values: Any) -> str:
    """Write a file whose one frame is a compressed picture, and whose header is that of `pixels`."""
    header = dicom_header(pixels, PixelData=encapsulate([picture]), **values)
    header["PixelData"].VR = "OB"
    header.file_meta.TransferSyntaxUID = syntax
    path.write_bytes(dicom_bytes(header))
    return str(path)
