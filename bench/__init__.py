"""Benchmarks against a running stack; each prints one table with its conditions."""
