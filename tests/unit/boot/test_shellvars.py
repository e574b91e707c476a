"""/etc/default/grub, evaluated as a shell does it; where in doubt: unknown."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gpuctl_host.boot import shellvars


def value(text: str, name: str = "A") -> str | None:
    return shellvars.value_of(shellvars.evaluate([text]), name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=quiet", "quiet"),
        ("A='a b'", "a b"),
        ('A="a b"', "a b"),
        ("A=\"a\"'b'c\\ d", "abc d"),
        ('A="say \\"x\\" \\$B \\n"', 'say "x" $B \\n'),
        ("A=''", ""),
        ("# A=x\nA=y # z", "y"),
        ("A=x#y", "x#y"),
        ("A=1\nA=2", "2"),
        ("export A=1", "1"),
        ('A=1\nA="$A 2"', "1 2"),
        ('A=1\nA="${A} 2"', "1 2"),
        ('A="${B:-none}"', "none"),
        ('B=x\nA="${B:-none}"', "x"),
        ("A=1\nA+=2", "12"),
        ("A=a\\\nb", "ab"),
        ('A="a \\\nb"', "a b"),
        ("A=1; A=2", "2"),
        ("A=1 command", ""),
        ("A=(a 'b' c)", "a b c"),
        ('A="$(uname -r)"', None),
        ("A=`uname -r`", None),
        ('A="${B%x}"', None),
        ("A=1\nif true; then\n  A=2\nfi", None),
        ("A=1\nif true; then A=2; fi\nA=3", "3"),
        ("A=1\n. /etc/other\n", None),
        ("A=1\n. /etc/other\nA=2", "2"),
        ("A=1\n[ -e /x ] && A=2", None),
        ("A=1\nf() { A=2; }\nf", None),
        ("A=1\n[ -e /x ] && B=2", "1"),
        ("A=~/x", None),
        ("A='unterminated", None),
        ("A=1\r\n", "1"),
    ],
)
def test_values(text: str, expected: str | None) -> None:
    assert value(text) == expected


def test_unset_is_empty_unless_another_file_may_have_set_it() -> None:
    assert value("B=1") == ""
    assert value("source /etc/x\nB=1") is None


def test_files_are_read_in_order_and_a_missing_one_makes_unknown() -> None:
    found = shellvars.evaluate(['A="quiet"', 'A="$A x"', 'A="console=ttyS0"', 'A="${A} iommu=pt"'])
    assert found["A"] == "console=ttyS0 iommu=pt"
    assert shellvars.value_of(shellvars.evaluate(["A=1", None]), "A") is None


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=60))
def test_what_is_quoted_is_read_back(text: str) -> None:
    assert value(f"A={shlex.quote(text)}") == text


@given(st.text(max_size=300))
def test_any_text_is_taken(text: str) -> None:
    shellvars.evaluate([text])


_piece = st.sampled_from(["a", " ", '"', "'", "\\", "$B", "${C}", "#", ";", "\n", "A=", "B=", "x y", "$", "=", "\t"])


@settings(max_examples=80)
@given(st.lists(_piece, max_size=12))
@example(["\\", " ", "#"])
def test_never_another_answer_than_the_shells(pieces: list[str]) -> None:
    """Where this reader gives a value, dash gives the same; it may say unknown at any time."""
    text = "A=" + "".join(pieces)
    ours = value(text)
    if ours is None:
        return
    script = 'unset A B C\neval "$1" >/dev/null 2>&1\nprintf "%s" "[$A]"'
    answer = subprocess.run(["dash", "-c", script, "dash", text], capture_output=True, text=True, check=False)
    if answer.stdout:  # a syntax error ends the shell before it answers
        assert answer.stdout == f"[{ours}]", text
