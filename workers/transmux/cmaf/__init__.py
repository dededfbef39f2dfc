"""CMAF (ISO/IEC 23000-19) as far as live streams need it: boxes, init segments, fragments. Sans-I/O."""
