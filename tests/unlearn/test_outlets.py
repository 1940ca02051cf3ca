"""An outlet takes everything, and remembers why the stream below it took something no more."""

from __future__ import annotations

import io
import sys

import pytest

from unlearn.outlets import outlets


class Narrow(io.StringIO):
    """A stream that takes so many writes."""

    def __init__(self, takes: int, error: OSError) -> None:
        super().__init__()
        self.takes, self.error = takes, error

    def write(self, text: str) -> int:
        self.takes -= 1
        if self.takes < 0:
            raise self.error
        return super().write(text)


def test_what_is_refused_is_lost_and_what_was_said_before_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    left, wide = Narrow(2, BrokenPipeError(32, "Broken pipe")), io.StringIO()
    monkeypatch.setattr(sys, "stdout", left)
    monkeypatch.setattr(sys, "stderr", wide)
    with outlets() as (out, err):
        sys.stdout.write("one ")
        sys.stdout.writelines(["two ", "three ", "four"])
        print("five", flush=True)
        sys.stderr.write("still heard")
        assert sys.stdout.encoding == left.encoding and not sys.stdout.isatty()
    assert (left.getvalue(), wide.getvalue()) == ("one two ", "still heard")
    assert (out.refused, err.refused) == (left.error, None)
    assert (sys.stdout, sys.stderr) == (left, wide)


def test_a_terminal_is_told_what_others_wrote_and_obeys_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with outlets():
        print("\x1b[1muser\x1b[0m", "a\x1b[2K\x1b[1A\rb\x9b2J\x07", "\x1b]0;title\x1b\\", "Zoë\tü", sep="|")
        sys.stderr.write("\r50 %\x1b[A")  # a progress bar is no text
    assert out.getvalue() == ("\x1b[1muser\x1b[0m|a\\x1b[2K\\x1b[1A\\rb\\x9b2J\\x07|\\x1b]0;title\\x1b\\|Zoë\tü\n")
    assert err.getvalue() == "\r50 %\x1b[A"


def test_there_may_be_no_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as `>&-` leaves it
    with outlets() as said_by:
        print("nobody hears it")
    assert [one.refused for one in said_by] == [None]
