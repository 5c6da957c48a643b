"""What ships to the machine that predicts: the contract, the pipeline and the reports. No torch in here."""

__version__ = "0.1.0"
