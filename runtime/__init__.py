"""The shell every process stands in."""
