"""`python -m ops`: where ./matinee hands over to."""

from ops.cli import main

if __name__ == "__main__":
    main()
