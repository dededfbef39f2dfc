"""How far apart people in a room see the same frame: simulated, and in real browsers."""
