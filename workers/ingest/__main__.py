"""`python -m workers.ingest`."""

from runtime.lifecycle import run
from workers.ingest.worker import make_app

if __name__ == "__main__":
    run("ingest", make_app)
