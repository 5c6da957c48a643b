"""Models behind HTTP: predictions for programs, the Open Inference Protocol, and a page for people."""
