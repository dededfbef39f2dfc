"""`python -m workers.sync`."""

from runtime.lifecycle import run
from workers.sync.worker import app

if __name__ == "__main__":
    run("sync", app)
