"""Data sets: layouts read into one table, splits, and what is wrong with the images."""
