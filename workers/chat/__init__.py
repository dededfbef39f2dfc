"""Chat: submitted messages and danmaku in, filtered and numbered ones out."""
