"""`gpuctl nova ...` as a user meets it: options, streams, formats, exit codes."""

import json
import subprocess
import sys

import pytest
import yaml

from gpuctl.cli.main import main
from tests.unit.nova import worlds


@pytest.fixture
def gpuctl(capsys):
    """Run a command line; return (exit code, stdout, stderr)."""

    def run(*words):
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def farm(tmp_path):
    """Facts files of the farm."""
    files = []
    for document in worlds.documents(worlds.FARM):
        files.append(tmp_path / f"{document['host']}.json")
        files[-1].write_text(json.dumps(document))
    return files


def test_from_facts_to_files_that_check_finds_good(gpuctl, farm, tmp_path):
    out = tmp_path / "out"
    code, text, err = gpuctl(
        "nova", "configure", "--release", "2026.1", "--facts", *farm, "--alias", "nvidia", "-o", out
    )
    assert (code, err) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == [
        "api.conf",
        "compute.conf",
        "compute.gpu2.conf",
        "conductor.conf",
        "scheduler.conf",
    ]
    assert "written" in text
    assert text.index("nova-compute:") < text.index("nova-api")
    code, text, _ = gpuctl("nova", "check", out, "--release", "33", "--facts", *farm, "-f", "json")
    document = json.loads(text)
    assert code == 0
    assert document["schema"] == "gpuctl.nova.check/1"
    assert {item["status"] for item in document["findings"]} == {"pass"}
    code, text, _ = gpuctl("nova", "configure", "--release", "2026.1", "--facts", *farm, "--alias", "nvidia", "-o", out)
    assert "unchanged" in text
    assert "written" not in text


@pytest.mark.parametrize("release", ["14", "15", "16", "19", "22", "24", "26", "27", "31", "34"])
def test_check_is_content_with_what_configure_wrote_for_any_release(gpuctl, farm, tmp_path, release):
    gpuctl("nova", "configure", "--release", release, "--facts", *farm, "-o", tmp_path / "out")
    code, text, _ = gpuctl("nova", "check", tmp_path / "out", "--release", release, "--facts", *farm, "-f", "json")
    assert [item for item in json.loads(text)["findings"] if item["status"] not in ("pass", "skip")] == []
    assert code == 0


def test_without_a_folder_the_files_are_on_stdout_and_the_rest_on_stderr(gpuctl, farm):
    code, out, err = gpuctl("nova", "configure", "--release", "newton", "--facts", farm[0])
    assert code == 0
    assert "pci_passthrough_whitelist = " in out
    assert "gpuctl restarts nothing" in err
    assert "gpuctl restarts nothing" not in out


def test_the_document_has_files_notes_and_restart(gpuctl, farm):
    _, out, err = gpuctl("nova", "configure", "--release", "33", "--facts", farm[0], "-f", "json")
    document = json.loads(out)
    assert err == ""
    assert document["schema"] == "gpuctl.nova.configure/1"
    assert document["release"] == {"number": 33, "series": "2026.1", "name": "gazpacho"}
    assert set(document["files"]) == {"compute.conf", "api.conf", "scheduler.conf", "conductor.conf"}
    assert document["restart"][0].startswith("nova-compute")
    _, out, _ = gpuctl("nova", "configure", "--release", "33", "--facts", farm[0], "-f", "yaml")
    assert yaml.safe_load(out) == document


def test_facts_take_all_json_words_behind_them_and_the_rest_stays(gpuctl, farm, tmp_path):
    conf = tmp_path / "nova.conf"
    conf.write_text('[pci]\ndevice_spec = {"vendor_id": "10de", "product_id": "1b80"}\n')
    for words in (
        ("--facts", *farm, conf),
        (conf, "--facts", *farm),
        (conf, "--facts", farm[0], "--facts", farm[1]),
        (f"--facts={farm[0]}", conf),
    ):
        _, out, _ = gpuctl("nova", "check", *words, "-f", "json")
        document = json.loads(out)
        assert document["services"] == [{"service": "nova", "files": [str(conf)]}]
        assert document["hosts"] == (["gpu1"] if len(words) == 2 else ["gpu1", "gpu2"])


def test_a_failure_is_exit_1_with_its_line_and_its_fix(gpuctl, tmp_path):
    conf = tmp_path / "nova.conf"
    conf.write_text("[DEFAULT]\n\n[pci]\ndevice_spec = {}\n")
    code, out, _ = gpuctl("nova", "check", conf)
    assert code == 1
    assert "spec-matches-all" in out
    assert "nova.conf:4" in out.replace("\n", "").replace(" ", "")


def test_drop_ins_roles_and_hosts_are_told_apart(gpuctl, tmp_path):
    folder = tmp_path / "nova.conf.d"
    folder.mkdir()
    (tmp_path / "nova.conf").write_text(
        '[pci]\nalias = {"name": "a", "vendor_id": "10de", "product_id": "1b80", "device_type": "type-PCI"}\n'
    )
    (folder / "50-gpu.conf").write_text("[filter_scheduler]\nenabled_filters = PciPassthroughFilter\n")
    (folder / "README").write_text("not read")
    (tmp_path / "x").write_text('[pci]\ndevice_spec = {"vendor_id": "10de", "product_id": "1b80"}\n')
    _, out, _ = gpuctl("nova", "check", tmp_path / "nova.conf", "--release", "33", "-f", "json")
    assert "nova.conf.d is there as well" in json.loads(out)["notes"][0]
    _, out, _ = gpuctl(
        "nova",
        "check",
        tmp_path / "nova.conf",
        folder,
        f"compute:gpu1={tmp_path / 'x'}",
        "--release",
        "33",
        "-f",
        "json",
    )
    (service,) = json.loads(out)["services"]
    assert service["service"] == "compute.gpu1"
    assert [path.rsplit("/", 1)[1] for path in service["files"]] == ["nova.conf", "50-gpu.conf", "x"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read"),
        (b"\xff\xfe\x00", "cannot read"),
        (b"not an ini file\n", "at line 1"),
        (b"key = value\n", "Section must be started"),
        (b"[pci\n", "at line 1"),
        (b"[pci]\n= x\n", "Key cannot be empty"),
        (b"  x\n", "Unexpected continuation"),
    ],
)
def test_what_no_service_could_read_is_exit_2_with_the_line(gpuctl, tmp_path, content, words):
    conf = tmp_path / "nova.conf"
    if content is not None:
        conf.write_bytes(content)
    code, out, err = gpuctl("nova", "check", conf)
    assert (code, out) == (2, "")
    assert words in err
    assert "nova.conf" in err
    assert "what to do" in err


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[",
        "[]",
        "{}",
        '"x"',
        '{"schema": "gpuctl.host.facts/1"}',
        '{"schema": "gpuctl.host.facts/2", "gpus": []}',
        '{"schema": "gpuctl.host.facts/1", "host": "a", "gpus": [{}]}',
        '{"schema": "gpuctl.host.facts/1", "host": "a", "gpus": 5}',
        '{"schema": "gpuctl.host.facts/1", "host": ["a"], "gpus": []}',
        '{"schema": "gpuctl.host.facts/1", "host": "a", "gpus": [{"address": "x", "vendor_id": "1", "device_id": "2"}]}',
    ],
)
def test_what_is_no_facts_document_is_told(gpuctl, tmp_path, content):
    file = tmp_path / "facts.json"
    if content is not None:
        file.write_text(content)
    code, out, err = gpuctl("nova", "configure", "--release", "33", "--facts", file)
    assert out == ""
    # An empty list is a document without hosts: read, but with nothing to give.
    assert code == (1 if content in ("", "[]") else 2), err
    assert "what to do" in err


def test_a_host_without_a_name_goes_by_its_file_and_two_of_one_name_do_not_go(gpuctl, farm, tmp_path):
    document = json.loads(farm[0].read_text())
    (tmp_path / "rack7.json").write_text(json.dumps({**document, "host": None}))
    _, out, _ = gpuctl("nova", "configure", "--release", "33", "--facts", tmp_path / "rack7.json", "-f", "json")
    assert json.loads(out)["hosts"] == ["rack7"]
    code, _, err = gpuctl("nova", "configure", "--release", "33", "--facts", farm[0], "--facts", farm[0])
    assert code == 2
    assert "gpu1" in err


@pytest.mark.parametrize(
    "words",
    [("--alias", "a", "--alias", "b"), ("--alias", "a", "--alias", "10de:1b80=b"), ("--gpu", "x"), ("--release", "13")],
)
def test_wrong_words_are_exit_2(gpuctl, farm, words):
    release = () if "--release" in words else ("--release", "33")
    code, _, err = gpuctl("nova", "configure", *release, "--facts", farm[0], *words)
    assert code == 2
    assert "what to do" in err


def test_placement_alone_means_all_of_it(gpuctl, farm):
    _, out, _ = gpuctl("nova", "configure", "--release", "33", "--placement", "--facts", farm[0], "-f", "json")
    assert "pci_in_placement = true" in json.loads(out)["files"]["conductor.conf"]
    _, out, _ = gpuctl("nova", "configure", "--release", "33", "--placement=report", "--facts", farm[0], "-f", "json")
    files = json.loads(out)["files"]
    assert "pci_in_placement" not in files["conductor.conf"]
    assert "report_in_placement = true" in files["compute.conf"]


def test_help_imports_nothing_heavy():
    code = "import sys; from gpuctl.cli.main import main; main(['nova', 'configure', '--help']); print([m for m in ('oslo_config', 'yaml', 'gpuctl.nova.lint') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.rstrip().endswith("[]")
    assert "Example: gpuctl nova configure" in done.stdout
