"""Checks any server from outside, sentence by sentence, against the contract of its HTTP API and its socket."""
