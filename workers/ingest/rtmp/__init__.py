"""RTMP 1.0 from the server's side, sans-I/O: bytes in; events and bytes out."""
