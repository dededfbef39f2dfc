"""Ingest: RTMP in, media tags out."""
