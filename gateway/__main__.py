"""`python -m gateway`: the HTTP edge as this process."""

from gateway.app import app
from runtime.lifecycle import run

if __name__ == "__main__":
    run("gateway", app)
