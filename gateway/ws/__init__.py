"""The socket (DESIGN.md §8): frames, sessions, rooms' channels, presence."""
