"""`python -m workers.transmux`."""

from runtime.lifecycle import run
from workers.transmux.worker import make_app

if __name__ == "__main__":
    run("transmux", make_app)
