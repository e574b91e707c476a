"""`gpuctl instance list|show|audit` as a user meets them, on a cloud in memory."""

from __future__ import annotations

import json
import stat

import pytest
import yaml

from gpuctl.cli.main import main
from tests.sim.cloud import Client
from tests.unit.moves.books.looks import SimLook


@pytest.fixture
def gpuctl(capsys):
    def run(*words):
        code = main(["instance", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def cloud(sim):
    """One guest that is well, and one whose migration failed."""
    cloud = sim(double=1.0)
    for host in ("gpu-a", "gpu-b"):
        cloud.add_host(host, ["h100"] * 4)
    cloud.boot("well", "gpu-a", "h100:1")
    broken = cloud.boot("broken", "gpu-a", "h100:1")
    cloud.inject("gpu-b", "finish_migration")
    Client(cloud.url).act(broken.id, "migrate", {"host": "gpu-b"})
    cloud.settle()
    return cloud


def test_list(gpuctl, cloud, tmp_path):
    code, out, err = gpuctl("list", "-f", "json", "--nova-db", cloud.dump(tmp_path / "nova.db"))
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["schema"] == "gpuctl.instance.list/1"
    broken, well = document["servers"]
    assert well["cards"] == {
        "wanted": [{"alias": "h100", "count": 1}], "placement": ["gpu-a/0000:04:00.0"], "rows": ["gpu-a/0000:04:00.0"], "domain": None,
    }  # fmt: skip
    assert well["last_move"] is None
    assert (broken["status"], broken["host"]) == ("ERROR", "gpu-b")
    assert len(broken["cards"]["placement"]) == 2
    assert {place.split("/")[0] for place in broken["cards"]["rows"]} == {"gpu-a", "gpu-b"}
    assert broken["last_move"]["status"] == "error"
    assert [one["view"] for one in document["unseen"]] == ["hosts"]


def test_list_of_a_host(gpuctl, cloud):
    code, out, _ = gpuctl("list", "--host", "gpu-b")
    assert code == 0
    assert "broken" in out
    assert "well" not in out
    assert "database not seen" in out
    code, _, err = gpuctl("list", "--host", "gpu-z")
    assert code == 2
    assert "no compute host 'gpu-z'" in err


def test_show_has_all_views(gpuctl, cloud, tmp_path, monkeypatch):
    monkeypatch.setattr("gpuctl.cli.books_options.link", lambda **_: SimLook(cloud))
    words = ("show", "broken", "--ssh", "--nova-db", cloud.dump(tmp_path / "nova.db"))
    code, out, _ = gpuctl(*words)
    assert code == 0
    for said in ("in use by driver QEMU", "migration 1  migration gpu-a -> gpu-b  error", "gpu-b_0000:04:00.0", "gpu-a/0000:05:00.0  allocated",
                 "shut off", "_resize", "row-elsewhere", "resize-leftover", "action migrate  Error"):  # fmt: skip
        assert said in out, said
    document = json.loads(gpuctl(*words, "-f", "json")[1])
    assert document["schema"] == "gpuctl.instance.show/1"
    assert {one["id"] for one in document["findings"]} >= {"server-error", "row-elsewhere", "allocation-double"}
    assert all(ord(char) < 128 for char in gpuctl(*words, "--ascii")[1].replace("✘", "").replace("✔", ""))


def test_show_says_what_it_did_not_see(gpuctl, cloud):
    code, out, _ = gpuctl("show", "well")
    assert code == 0
    assert "Nova's database: not seen (--nova-db)" in out
    assert "hosts: not seen (--ssh)" in out


def test_show_nobody(gpuctl, cloud):
    code, out, err = gpuctl("show", "nobody")
    assert (code, out) == (2, "")
    assert "no server 'nobody'" in err


def test_audit_finds_and_exits_1(gpuctl, cloud):
    code, out, err = gpuctl("audit", "-f", "yaml")
    assert (code, err) == (1, "")
    document = yaml.safe_load(out)
    assert document["schema"] == "gpuctl.instance.audit/1"
    assert [one["status"] for one in document["findings"]] == sorted(
        (one["status"] for one in document["findings"]), key="fail warn skip".index
    )
    code, out, _ = gpuctl("audit")
    assert code == 1
    assert "what to do: gpuctl instance recover" in out


def test_audit_of_one_host(gpuctl, cloud):
    assert gpuctl("audit", "--host", "gpu-a")[0] == 1, "its migration came from there"
    cloud.add_host("gpu-c", ["h100"] * 4)
    assert gpuctl("audit", "--host", "gpu-c")[0] == 0
    code, _, err = gpuctl("audit", "--host", "gpu-z")
    assert code == 2
    assert "no compute host 'gpu-z'" in err


def test_audit_of_a_clean_cloud(gpuctl, sim):
    cloud = sim()
    cloud.populate(hosts=2, servers=4)
    code, out, _ = gpuctl("audit", "-v")
    assert code == 0
    assert "4 GPU servers, 2 hosts (0 looked at): 0 failed, 0 warned" in out


def test_strict_lets_a_warning_fail(gpuctl, sim):
    cloud = sim()
    cloud.populate(hosts=2, servers=4)
    cloud.hosts["gpu-001"].disabled, cloud.hosts["gpu-001"].disabled_reason = True, "gpuctl drain 20261121 by root"
    code, out, _ = gpuctl("audit")
    assert code == 0
    assert "gpuctl left a compute service disabled" in out
    assert gpuctl("audit", "--strict")[0] == 1
    cloud.hosts["gpu-001"].disabled_reason = "memory is being replaced"
    assert gpuctl("audit", "--strict")[0] == 0, "somebody else's reason is somebody else's business"


def test_aliases_that_are_gone(gpuctl, sim, tmp_path):
    cloud = sim()
    cloud.populate(hosts=2, servers=4)
    conf = tmp_path / "nova.conf"
    conf.write_text(
        '[pci]\nalias = {"name": "h100", "vendor_id": "10de", "product_id": "2330", "device_type": "type-PF"}\n'
    )
    assert gpuctl("audit", "--nova-conf", conf)[0] == 0
    conf.write_text('[pci]\nalias = {"name": "h200", "vendor_id": "10de", "product_id": "2335"}\n')
    code, out, _ = gpuctl("audit", "--nova-conf", conf, "-f", "json")
    assert code == 1
    assert [one["id"] for one in json.loads(out)["findings"]].count("alias-gone") == 4
    conf.write_text("alias without a section\n")
    assert gpuctl("audit", "--nova-conf", conf)[0] == 2


def test_nagios_without_a_cloud_is_unknown(gpuctl, cloud):
    cloud.fail("GET", "/compute/", 403, times=99)
    code, out, err = gpuctl("audit", "-f", "nagios")
    assert (code, err) == (3, "")
    assert out.startswith("GPUCTL UNKNOWN - ")
    assert gpuctl("audit")[0] == 6


def test_nagios_without_the_database_that_it_was_given(gpuctl, sim, tmp_path):
    cloud = sim()
    cloud.populate(hosts=2, servers=4)
    code, out, _ = gpuctl("audit", "-f", "nagios", "--nova-db", f"sqlite:///{tmp_path}/none.db")
    assert code == 3
    assert "database:" in out
    assert gpuctl("audit", "--nova-db", f"sqlite:///{tmp_path}/none.db")[0] == 5


def test_the_url_from_the_environment(gpuctl, cloud, tmp_path, monkeypatch):
    monkeypatch.setenv("GPUCTL_NOVA_DB", cloud.dump(tmp_path / "nova.db"))
    assert "row-elsewhere" in gpuctl("audit")[1]


def test_a_wrong_url_is_wrong_usage(gpuctl, cloud):
    code, _, err = gpuctl("audit", "--nova-db", "postgresql://nova:secret@db/nova")
    assert code == 2
    assert "secret" not in err


def test_the_textfile_is_whole_or_as_before(gpuctl, cloud, tmp_path, monkeypatch):
    file = tmp_path / "out" / "gpuctl.prom"
    file.parent.mkdir()
    code, out, _ = gpuctl("audit", "-f", "prom", "-o", file)
    assert (code, out) == (1, "")
    before = file.read_text()
    assert 'id="server-error",status="fail"} 1' in before
    assert stat.S_IMODE(file.stat().st_mode) == 0o644, "node_exporter is another user"
    assert [path.name for path in file.parent.iterdir()] == ["gpuctl.prom"]
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    code, _, err = gpuctl("audit", "-f", "prom", "-o", file)
    assert code == 2
    assert "No space left" in err
    assert file.read_text() == before
    assert [path.name for path in file.parent.iterdir()] == ["gpuctl.prom"]


def test_without_a_cloud_the_old_textfile_stays(gpuctl, cloud, tmp_path):
    file = tmp_path / "gpuctl.prom"
    file.write_text("old\n")
    cloud.fail("GET", "/compute/", 403, times=99)
    assert gpuctl("audit", "-f", "prom", "-o", file)[0] == 6
    assert file.read_text() == "old\n", "its timestamp then tells that it is old"
