"""Transmux worker: media tags in, CMAF parts and segments out."""
