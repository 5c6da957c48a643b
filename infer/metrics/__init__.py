"""Numbers from predictions and truth, with their intervals."""
