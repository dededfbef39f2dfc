"""The command line, the embedded servers and the supervisor; starts our processes, imports none of them."""
