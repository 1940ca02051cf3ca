"""`python -m unlearn`: the command, where its script is not on the path."""

from unlearn.cli import app

if __name__ == "__main__":
    app(prog_name="unlearn")
