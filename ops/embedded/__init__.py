"""NATS, PostgreSQL and Redis from wheels, run as children of whoever starts them, below one directory."""
