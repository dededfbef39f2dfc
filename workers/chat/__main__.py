"""`python -m workers.chat`."""

from runtime.lifecycle import run
from workers.chat.worker import app

if __name__ == "__main__":
    run("chat", app)
