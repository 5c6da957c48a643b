"""What predictions are worth: metrics with intervals, pictures, pages, and models side by side."""
