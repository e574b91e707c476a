"""`gpuctl instance recover` and `leftovers` as they are typed."""

from __future__ import annotations

import json

import pytest

from gpuctl.cli.main import main
from tests.unit.moves.recover.rig import HERE, THERE
from tests.unit.moves.recover.test_on_sim import finish_failed, left_in_verify_resize, rolled_back


@pytest.fixture
def run(capsys):
    def go(*words, code):
        got = main(["instance", *words])
        out, err = capsys.readouterr()
        assert got == code, (out, err)
        return out, err

    return go


def test_without_a_terminal_the_statement_is_in_the_json_and_nothing_was_done(rig, run):
    one = rig(hosts=False)
    finish_failed(one)
    one.cloud.clear_counts()
    out, err = run("recover", "guest", "--yes", "-f", "json", code=1)
    said = json.loads(out)
    assert said["schema"] == "gpuctl.instance.recover/1"
    (result,) = said["results"]
    assert (result["server"], result["state"], result["from"]) == (one.server, "unfinished", THERE)
    assert [case["id"] for case in result["cases"]] == ["leaked-card", "finish-failed"]
    assert [step["step"] for step in result["plan"]] == ["end-migration-1", "hard-reboot"]
    (statement,) = result["statements"]
    assert set(statement) == {"sql", "guard", "check", "why"}
    assert err == ""
    assert not [name for name in one.cloud.counts() if name.startswith("POST") and "#" in name]

    # The operator runs it, the audit comes by, and the next run goes on.
    assert one.cloud.execute(statement["sql"]) == 1
    one.cloud.audit()
    url = one.cloud.dump(one.database._path)
    out, _ = run("recover", one.server, "--yes", "--nova-db", url, "-f", "json", code=0)
    (result,) = json.loads(out)["results"]
    assert [step["step"] for step in result["steps"]] == ["hard-reboot"]
    assert (result["state"], result["statements"]) == ("done", [])


def test_the_database_may_stand_in_the_environment(rig, run, monkeypatch):
    one = rig(hosts=False)
    finish_failed(one)
    monkeypatch.setenv("GPUCTL_NOVA_DB", one.cloud.dump(one.database._path))
    out, _ = run("recover", "guest", "--dry-run", "-f", "json", code=0)
    (result,) = json.loads(out)["results"]
    assert result["state"] == "planned"
    assert {case["certainty"] for case in result["cases"]} == {"proven", "likely"}


def test_a_person_reads_the_case_the_plan_and_the_statement(rig, run):
    one = rig(hosts=False)
    rolled_back(one)
    out, _ = run("recover", "guest", "--dry-run", code=0)
    for words in ("rolled-back", "a card of gpu-b is held", "to be sure: --nova-db", "look first", "UPDATE migrations"):
        assert words in out


def test_nobody_to_ask_is_exit_2_and_nothing_was_touched(rig, run):
    one = rig(hosts=False)
    left_in_verify_resize(one)
    _, err = run("recover", "guest", "--revert", code=2)
    assert "--accept revert" in err
    assert "--yes" not in err  # which does not agree to what loses something
    assert one.cloud.server_state(one.server)["status"] == "VERIFY_RESIZE"


def test_nobody_to_ask_about_what_loses_nothing_is_told_of_yes(rig, run, over_ssh):
    one = rig()
    left_in_verify_resize(one)
    over_ssh(one)
    _, err = run("recover", "guest", "--ssh", code=2)
    assert "say --yes to agree beforehand" in err
    run("recover", "guest", "--ssh", "--yes", code=0)
    assert one.cloud.server_state(one.server)["status"] == "ACTIVE"


def test_what_loses_something_is_not_agreed_to_by_yes_but_by_its_name(rig, run):
    one = rig(hosts=False)
    left_in_verify_resize(one)
    out, _ = run("recover", "guest", "--yes", code=1)
    assert "--accept confirm" in out
    assert one.cloud.server_state(one.server)["status"] == "VERIFY_RESIZE"
    run("recover", "guest", "--accept", "confirm", code=0)
    assert one.cloud.server_state(one.server)["status"] == "ACTIVE"


def test_some_done_and_some_not_is_exit_5(rig, run):
    one = rig(hosts=False)
    rolled_back(one)
    one.cloud.boot("healthy", "gpu-c")
    run("recover", "guest", "healthy", "--yes", code=5)


def test_rows_checked_is_for_one_server(rig, run):
    rig(hosts=False)
    _, err = run("recover", "a", "b", "--rows-checked", code=2)
    assert "one server" in err


def test_an_unknown_server(rig, run):
    rig(hosts=False)
    run("recover", "nobody", code=2)
    run("recover", "11111111-1111-4111-8111-111111111111", code=2)


# ---------------------------------------------------------------- leftovers


@pytest.fixture
def over_ssh(monkeypatch):
    def use(one):
        monkeypatch.setattr("gpuctl.moves.books.host_link.SshLook", lambda *_: one.hosts)

    return use


def leave(one):
    """A `_resize` folder and a domain of the server on gpu-a, while it is well on gpu-b."""
    left_in_verify_resize(one)
    domain = one.cloud.hosts[HERE].domains[one.server]
    one.act("confirmResize")
    one.cloud.hosts[HERE].domains[one.server] = domain
    one.cloud.hosts[HERE].folders.add(f"{one.server}_resize")


@pytest.mark.parametrize("target", [HERE, "guest"])
def test_leftovers_are_listed_and_put_into_quarantine(rig, run, over_ssh, target):
    one = rig()
    leave(one)
    over_ssh(one)
    out, _ = run("leftovers", "list", target, "-f", "json", code=0)
    (host,) = [each for each in json.loads(out)["hosts"] if each["host"] == HERE]
    assert [(each["kind"], each["may_go"]) for each in host["leftovers"]] == [("domain", True), ("resize", True)]
    _, err = run("leftovers", "quarantine", target, code=2)
    assert "no terminal" in err
    run("leftovers", "quarantine", target, "--yes", code=0)
    assert one.cloud.broken() == []
    request = next(said for host, said in one.hosts.asked if said["phase"] == "quarantine")
    assert request["nova_host"] == HERE
    assert request["proof"][one.server] == {"server_host": THERE, "status": "ACTIVE", "open_migrations": []}
    assert request["destination_shares"] == {one.server: False}


@pytest.mark.parametrize("words", [("list",), ("quarantine",), ("restore",), ("purge",)])
def test_of_a_server_that_never_moved_it_says_so_and_asks_nothing(rig, run, over_ssh, words):
    one = rig()
    over_ssh(one)
    out, _ = run("leftovers", *words, "guest", code=0)
    assert "nowhere to look" in out
    assert one.hosts.asked == []


def test_nothing_is_put_away_while_a_move_waits(rig, run, over_ssh):
    one = rig()
    left_in_verify_resize(one)
    over_ssh(one)
    run("leftovers", "quarantine", HERE, "--yes", code=3)
    assert f"{one.server}_resize" in one.cloud.hosts[HERE].folders


@pytest.mark.parametrize("harm", ["guest dead", "host not seen", "error record"])
def test_nothing_is_put_away_of_a_server_that_is_not_proven_good(rig, run, over_ssh, harm):
    """The host's half may be content with the proof; gpuctl itself looks at the server's own host too."""
    one = rig()
    leave(one)
    if harm == "guest dead":
        one.cloud.hosts[THERE].domains[one.server].running = False
    elif harm == "host not seen":
        look = one.hosts.look
        one.hosts.look = lambda host: look(host) if host == HERE else type(look(host))(host, None, None, None)
    else:
        one.cloud.migrations[0].status = "error"
    over_ssh(one)
    run("leftovers", "quarantine", HERE, "--yes", code=3)
    assert f"{one.server}_resize" in one.cloud.hosts[HERE].folders


def test_the_leftovers_of_a_server_that_nova_does_not_know_stay(rig, run, over_ssh):
    one = rig()
    stranger = "99999999-9999-4999-8999-999999999999"
    one.cloud.hosts[HERE].folders.add(f"{stranger}_resize")
    over_ssh(one)
    run("leftovers", "quarantine", HERE, "--yes", code=3)
    assert f"{stranger}_resize" in one.cloud.hosts[HERE].folders


def test_the_leftovers_of_a_server_that_nova_shows_as_deleted_may_go(rig, run, over_ssh):
    one = rig()
    leave(one)
    one.client.call("compute", "DELETE", f"/servers/{one.server}")
    one.cloud.settle()
    over_ssh(one)
    run("leftovers", "quarantine", HERE, "--yes", code=0)
    assert one.cloud.broken() == []


def test_neither_a_host_nor_a_server(rig, run, over_ssh):
    one = rig()
    over_ssh(one)
    _, err = run("leftovers", "list", "nobody", code=2)
    assert "neither a compute host nor a server" in err
