"""The walls between the rooms (docs/explanation/architecture.md), read off the sources."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.packaging.source import HOST_HALF, OPERATOR_HALF, ROOT, Import, Source, sources

OPTIONAL = {"pyudev", "libvirt"}  # guarded wherever they are imported
NEWER_THAN_39 = {"tomllib"}
RECORDS = {"gpuctl_host.facts.model", "gpuctl_host.changes.model"}  # plain data: free to every room

# room of the host's half: the rooms that it may call. What is not a key (entry.py, verbs/, __main__.py) may call all.
MAY_CALL = {
    "facts": {"boot", "tools"},
    "checks": {"facts"},
    "changes": {"facts", "boot", "templates"},
    "boot": {"facts", "tools", "templates"},
    "apply": {"facts", "boot", "changes", "leftovers", "tools", "templates"},
    "leftovers": {"facts", "tools"},
    "tools": set(),
    "templates": set(),
}
PURE = ("checks", "changes")  # facts in, findings or changes out
IMPURE = {
    "fcntl", "glob", "io", "mmap", "os", "pathlib", "select", "shutil", "signal", "socket", "subprocess", "tempfile", "threading", "time",
    "gpuctl_host.host", "gpuctl_host.tools", "gpuctl_host.apply",
}  # fmt: skip
HEAVY = {
    "openstack", "keystoneauth1", "paramiko", "ansible_runner", "libvirt", "pyudev", "yaml", "requests", "cryptography", "importlib.metadata",
    "asyncio", "email", "http.client", "ssl", "urllib.request", "xml",
}  # fmt: skip

# The doors that write. Everybody else hands a Change to apply/.
WRITERS = ("apply", "host.py", "kernel_write.py", "facts/capture.py")
OS_WRITES = {
    f"os.{name}"
    for name in [
        "chmod",
        "chown",
        "fchmod",
        "fchown",
        "fdopen",
        "ftruncate",
        "lchown",
        "link",
        "makedirs",
        "mkdir",
        "mkfifo",
        "mknod",
        "remove",
        "removedirs",
        "rename",
        "renames",
        "replace",
        "rmdir",
        "setxattr",
        "symlink",
        "truncate",
        "unlink",
        "utime",
        "write",
        "pwrite",
        "writev",
        "sendfile",
    ]
}
PATH_WRITES = {"write_text", "write_bytes", "unlink", "touch", "symlink_to", "hardlink_to", "rmdir", "mkdir"}
STARTS = {
    "os.fork",
    "os.forkpty",
    "os.system",
    "os.popen",
    "os.posix_spawn",
    "os.posix_spawnp",
    "os.execv",
    "os.execve",
    "os.execvp",
    "os.execvpe",
}
# What Host.run and Host.poke are made of, and filters for streams of hundreds of megabytes, which Host.run is not for.
MAY_START = {
    "host_prep/gpuctl_host/command.py",
    "host_prep/gpuctl_host/kernel_write.py",
    "host_prep/gpuctl_host/tools/decompress.py",
}

HOST = sources(HOST_HALF)
OPERATOR = sources(OPERATOR_HALF)


def named(imported: Import) -> list[str]:
    """What an import may bring in: `from a import b` is a, or the module a.b."""
    return [imported.module, *(f"{imported.module}.{name}" for name in imported.names)]


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def complain(found: list[str]) -> None:
    assert not found, "\n" + "\n".join(found)


def test_there_is_something_to_judge():
    assert len(HOST) > 20
    assert len(OPERATOR) > 3


def test_imports_are_absolute():
    complain(
        [
            f"{s.where}:{i.line}: a relative import"
            for s in HOST + OPERATOR
            for i in s.imports()
            if i.module.startswith(".")
        ]
    )


def test_the_operators_half_knows_only_the_entry_and_the_version_of_the_hosts():
    found = []
    for source in OPERATOR:
        for imported in source.imports():
            if not within(imported.module, "gpuctl_host"):
                continue
            wanted = (
                {f"{imported.module}.{name}" for name in imported.names}
                if imported.module == "gpuctl_host"
                else {imported.module}
            )
            if not all(name in ("gpuctl_host.entry", "gpuctl_host.__version__") for name in wanted):
                found.append(
                    f"{source.where}:{imported.line}: imports {', '.join(sorted(wanted))}; go through gpuctl_host.entry"
                )
    complain(found)


def test_the_hosts_half_needs_the_standard_library_alone():
    found = []
    for source in HOST:
        for imported in source.imports():
            top = imported.module.partition(".")[0]
            if top in OPTIONAL and imported.guarded:
                continue
            if top != "gpuctl_host" and (top not in sys.stdlib_module_names or top in NEWER_THAN_39):
                found.append(f"{source.where}:{imported.line}: imports {imported.module}")
    complain(found)


def test_the_hosts_half_never_imports_the_operators():
    complain([f"{s.where}:{i.line}" for s in HOST for i in s.imports() if within(i.module, "gpuctl")])


@pytest.mark.parametrize("room", sorted(MAY_CALL))
def test_a_room_calls_only_the_rooms_below_it(room):
    others = {source.room for source in HOST if not source.room.endswith(".py")} | {"entry", "verbs"}
    found = []
    for source in (source for source in HOST if source.room == room):
        for imported in source.imports():
            for other in sorted(others - MAY_CALL[room] - {room}):
                for module in named(imported):
                    if within(module, f"gpuctl_host.{other}") and not any(within(module, record) for record in RECORDS):
                        found.append(f"{source.where}:{imported.line}: {room}/ imports {module}")
    complain(sorted(set(found)))


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_do_no_io(room):
    found = []
    for source in (source for source in HOST if source.room == room):
        found += [
            f"{source.where}:{imported.line}: {room}/ imports {module}"
            for imported in source.imports()
            for module in named(imported)
            if any(within(module, impure) for impure in IMPURE)
        ]
        found += [
            f"{source.where}:{line}: {room}/ calls {name}"
            for line, name, _ in source.calls()
            if name in ("open", "input", "exec", "eval")
        ]
    complain(sorted(set(found)))


def test_only_apply_writes():
    found = []
    for source in HOST:
        if source.room in WRITERS or source.where.endswith(WRITERS[1:]):
            continue
        for line, name, call in source.calls():
            if (
                name in OS_WRITES
                or name.startswith("shutil.")
                or (name == "open" and _opens_to_write(call))
                or _opens_fd_to_write(name, call)
            ):
                found.append(f"{source.where}:{line}: {name}")
            elif name.rpartition(".")[2] in PATH_WRITES and "." in name:
                found.append(f"{source.where}:{line}: {name}")
    complain(found)


def test_children_are_started_by_host_and_apply_alone():
    found = []
    for source in HOST:
        if source.room in ("apply", "host.py") or source.where in MAY_START:
            continue
        found += [
            f"{source.where}:{i.line}: imports {i.module}" for i in source.imports() if within(i.module, "subprocess")
        ]
        found += [f"{source.where}:{line}: {name}" for line, name, _ in source.calls() if name in STARTS]
    complain(found)


def test_the_kernel_is_poked_from_apply_alone():
    found = [
        f"{source.where}:{line}: {name}"
        for source in HOST
        if source.room not in ("apply", "host.py")
        for line, name, _ in source.calls()
        if name.endswith(".poke")
    ]
    complain(found)


def test_the_operators_half_starts_no_shell_and_reads_no_sys():
    found = []
    for source in OPERATOR:
        found += [
            f"{source.where}:{line}: {name}" for line, name, _ in source.calls() if name in ("os.system", "os.popen")
        ]
        found += [
            f"{source.where}:{node.lineno}: {node.value!r}"
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("/sys/")
        ]
    complain(found)


def test_no_file_is_a_drawer():
    names = [s.where for s in HOST + OPERATOR if s.path.stem in ("utils", "util", "helpers", "helper", "misc")]
    complain(names)


@pytest.mark.machine
def test_git_holds_no_symbolic_link():
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=ROOT, check=False, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    complain([line for line in listed.stdout.splitlines() if line.startswith("120000")])


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_the_start_imports_nothing_heavy(argument):
    code = (
        "import sys\n"
        "from gpuctl.cli.main import main\n"
        f"sys.argv = ['gpuctl', {argument!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print('\\n@', *sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    loaded = set(ran.stdout.rpartition("\n@")[2].split())
    complain(sorted(f"gpuctl {argument} imports {name}" for name in HEAVY & loaded))


def _opens_to_write(call: ast.Call) -> bool:
    mode = call.args[1] if len(call.args) > 1 else next((k.value for k in call.keywords if k.arg == "mode"), None)
    return mode is not None and not (isinstance(mode, ast.Constant) and not set("wax+") & set(str(mode.value)))


def _opens_fd_to_write(name: str, call: ast.Call) -> bool:
    return name == "os.open" and any(
        word in ast.unparse(call) for word in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND")
    )


class TestTheRulesBite:
    """A rule that nothing can break proves nothing: each is shown a file that breaks it."""

    @pytest.fixture
    def written(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tests.packaging.source.ROOT", tmp_path)
        monkeypatch.setattr("tests.packaging.source.HOST_HALF", tmp_path)

        def write(text: str) -> Source:
            path = tmp_path / "facts" / "x.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            return Source(path)

        return write

    def test_type_checking_imports_do_not_run(self, written):
        source = written("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import os\nelse:\n    import io\n")
        assert [i.module for i in source.imports()] == ["typing", "io"]

    def test_guarded_is_in_a_try_or_a_function(self, written):
        source = written("try:\n    import a\nexcept ImportError:\n    a = None\ndef f():\n    import b\nimport c\n")
        assert [(i.module, i.guarded) for i in source.imports()] == [("a", True), ("b", True), ("c", False)]

    def test_names_may_be_modules(self, written):
        (imported,) = written("from gpuctl_host import host\n").imports()
        assert named(imported) == ["gpuctl_host", "gpuctl_host.host"]

    @pytest.mark.parametrize("text", ["open(p, 'w')", "open(p, mode='a')", "open(p, m)", "open(p, 'r+')"])
    def test_open_for_writing_is_seen(self, written, text):
        ((_, name, call),) = written(text).calls()
        assert name == "open"
        assert _opens_to_write(call)

    @pytest.mark.parametrize("text", ["open(p)", "open(p, 'rb')", "open(p, encoding='utf-8')"])
    def test_open_for_reading_is_not(self, written, text):
        ((_, _, call),) = written(text).calls()
        assert not _opens_to_write(call)
