"""NATS, PostgreSQL and Redis from wheels, run as children of whoever starts them, under one data directory."""
