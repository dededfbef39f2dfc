"""The contract on the bus: pure, and imported by every room."""
