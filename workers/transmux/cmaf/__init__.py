"""CMAF (ISO/IEC 23000-19) as far as live H.264 and AAC need it: boxes, init segments, fragments. Sans-I/O."""
