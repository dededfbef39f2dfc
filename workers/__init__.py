"""The rooms behind the bus."""
