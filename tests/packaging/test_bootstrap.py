"""The set-up and the suite's runner: hosts stay out of the locks, stamps are honest, the closing line counts everything."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def load(path: Path):
    """A script of .ci/, as a module."""
    loader = importlib.machinery.SourceFileLoader(path.stem, str(path))
    spec = importlib.util.spec_from_loader(path.stem, loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bootstrap():
    return load(ROOT / ".ci" / "bootstrap")


@pytest.fixture(scope="module")
def suite():
    return load(ROOT / ".ci" / "suite.py")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
class TestLocks:
    def test_every_package_has_a_version_and_a_hash(self, lock):
        entries = re.split(r"\n(?=\S)", lock.read_text().strip())
        assert len(entries) > 10
        for entry in entries:
            assert re.match(r"[A-Za-z0-9._-]+==[^ ]+ ", entry), entry
            assert " --hash=sha256:" in entry, entry

    def test_no_host_is_named(self, lock):
        assert "://" not in lock.read_text()


def test_what_the_tests_run_on_is_what_users_get():
    run, dev = ((ROOT / "requirements" / name).read_text() for name in ("run.txt", "dev.txt"))
    pins = re.findall(r"^\S+==\S+", run, re.MULTILINE)
    assert [pin for pin in pins if not re.search(rf"^{re.escape(pin)} ", dev, re.MULTILINE)] == []


@pytest.mark.machine
def test_no_registry_is_named_in_any_file():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    hosts = re.compile(
        rb"py" rb"pi|python" rb"hosted|debian" rb"\.org|npm" rb"js"
    )  # in halves, so as not to find itself
    found = [
        name
        for name in listed.stdout.splitlines()
        if (ROOT / name).is_file() and hosts.search((ROOT / name).read_bytes())
    ]
    assert found == []


class TestStamps:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/python").write_text("")
        (tmp_path / "bin/python").chmod(0o755)
        return str(tmp_path)

    def test_a_stamp_is_of_its_content_and_its_place(self, bootstrap, tmp_path):
        file = tmp_path / "lock.txt"
        file.write_text("a==1")
        first = bootstrap.digest(str(file), "here")
        assert bootstrap.digest(str(file), "here") == first
        assert bootstrap.digest(str(file), "there") != first
        file.write_text("a==2")
        assert bootstrap.digest(str(file), "here") != first

    def test_half_made_is_not_made(self, bootstrap, folder):
        assert not bootstrap.stamped(folder, "requirements", "x")
        bootstrap.stamp(folder, "requirements", "x")
        assert bootstrap.stamped(folder, "requirements", "x")
        assert not bootstrap.stamped(folder, "requirements", "y")
        Path(folder, "bin/python").unlink()
        assert not bootstrap.stamped(folder, "requirements", "x")

    def test_it_needs_no_new_python_itself(self):
        import ast

        ast.parse((ROOT / ".ci" / "bootstrap").read_text(), feature_version=(3, 7))


class TestSuite:
    def outcome(self, suite, name, *, failed=False, **counts):
        return suite.Outcome(suite.PARTS[name], 1.0, failed, "", Counter(counts))

    def test_the_last_line_counts_all_parts(self, suite, capsys):
        outcomes = [
            self.outcome(suite, "unit", passed=3, skipped=1),
            self.outcome(suite, "crash", passed=2),
            self.outcome(suite, "lint"),
        ]
        assert suite.summary(outcomes, 1.0, expected=3) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "5 passed, 0 failed, 1 skipped"

    @pytest.mark.parametrize("name", ["lint", "unit"])
    def test_a_part_that_failed_without_a_test_counts_as_one(self, suite, capsys, name):
        outcomes = [self.outcome(suite, name, failed=True), self.outcome(suite, "crash", passed=2)]
        assert suite.summary(outcomes, 1.0, expected=2) == 1
        assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 1 failed, 0 skipped"

    def test_a_part_that_never_ran_fails(self, suite, capsys):
        assert suite.summary([self.outcome(suite, "unit", passed=2)], 1.0, expected=2) == 1
        assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 1 failed, 0 skipped"

    def test_no_test_at_all_fails(self, suite, capsys):
        assert suite.summary([self.outcome(suite, "unit")], 1.0, expected=1) == 1

    def test_a_report_is_read(self, suite, tmp_path):
        xml = tmp_path / "x.xml"
        xml.write_text(
            '<testsuites><testsuite><testcase name="a"/><testcase name="b"><failure/></testcase><testcase name="c"><error/></testcase>'
            '<testcase name="d"><skipped type="pytest.skip" message="no QEMU&#10;more"/></testcase>'
            '<testcase name="e"><skipped type="pytest.xfail" message="known"/></testcase></testsuite></testsuites>'
        )
        counts, reasons = suite.read_report(xml)
        assert counts == {"passed": 2, "failed": 2, "skipped": 1}
        assert reasons == {"no QEMU": 1}

    def test_every_marker_has_a_part(self, suite):
        chosen = " ".join(" ".join(part.argv) for part in suite.PARTS.values())
        assert all(f" {marker}" in chosen for marker in suite.APART)
        assert set(suite.SUITES["test"][0] + suite.SUITES["test"][1]) == set(suite.PARTS)

    def test_two_rigs_are_never_up_at_once(self, suite):
        (lane,) = [lane for lane in suite.SUITES["test"] if "lab_host" in lane]
        assert {"lab_host", "lab_openstack", "e2e"} <= set(lane)

    def test_a_part_past_its_limit_fails_and_leaves_nobody(self, suite, tmp_path, monkeypatch):
        monkeypatch.setattr(suite, "REPORTS", tmp_path)
        code = f"import subprocess, time; subprocess.Popen(['sleep', '47.11']); open({str(tmp_path / 'up')!r}, 'w'); time.sleep(60)"
        outcome = suite.run_part(suite.Part("late", (sys.executable, "-c", code), 1))
        assert outcome.failed
        assert "not done after 1 s" in outcome.said
        left = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if b"47.11" in _content(path)]
        assert left == []


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
