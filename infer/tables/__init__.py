"""The tables that prediction reads and writes."""
