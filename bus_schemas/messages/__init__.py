"""The control messages, by subject matter."""
