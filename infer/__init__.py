"""What ships to the machine that predicts: the contract, the pipeline and the reports. No torch in here."""
