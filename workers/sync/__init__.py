"""Sync: playback commands in, one agreed state a room out."""
