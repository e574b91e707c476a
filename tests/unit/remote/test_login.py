"""Being let in by a real SSH server (paramiko's own, in this process), and by one that never says yes or no."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import paramiko
import pytest

from gpuctl.remote.endpoint import Endpoint
from gpuctl.remote.errors import AuthenticationFailed, HostKeyRevoked, TimedOut, Unreachable
from gpuctl.remote.keyring import Offer
from gpuctl.remote.login import login
from gpuctl.remote.road import Jumps

HOST_KEY = paramiko.ECDSAKey.generate()


class Server(paramiko.ServerInterface):
    """Answers every key with ``answer``; None never comes to an answer."""

    def __init__(self, answer):
        self.answer, self.release = answer, threading.Event()

    def get_allowed_auths(self, username):
        return "publickey,password"

    def check_auth_publickey(self, username, key):
        if self.answer is None:
            self.release.wait(60)
            return paramiko.AUTH_FAILED
        return self.answer


@pytest.fixture
def door(tmp_path):
    """(listening socket, the endpoint that leads there)."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    paramiko.ECDSAKey.generate().write_private_key_file(str(tmp_path / "id"))
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {HOST_KEY.get_name()} {HOST_KEY.get_base64()}\n")
    yield listening, Endpoint(
        "gpu01", "127.0.0.1", port, keys=(tmp_path / "id",), known_as=f"[127.0.0.1]:{port}", known_hosts=(known,),
        connect_timeout=3,
    )  # fmt: skip
    listening.close()


def entered(door, answer):
    """Log in where a server gives this answer; return the line, or raise what login raises, within a minute."""
    listening, endpoint = door
    server = Server(answer)

    def serve():
        transport = paramiko.Transport(listening.accept()[0])
        transport.add_server_key(HOST_KEY)
        transport.start_server(event=threading.Event(), server=server)
        return transport

    pool = ThreadPoolExecutor(2)
    try:
        served = pool.submit(serve)
        return pool.submit(login, endpoint, Jumps()).result(60)
    finally:
        server.release.set()
        served.result(60).close()
        pool.shutdown(wait=False)


def test_a_key_that_is_taken_opens(door):
    line = entered(door, paramiko.AUTH_SUCCESSFUL)
    assert line.transport.is_authenticated()
    line.close()


@pytest.mark.parametrize(
    ("answer", "says"),
    [(paramiko.AUTH_FAILED, "offered: "), (paramiko.AUTH_PARTIALLY_SUCCESSFUL, "password was wanted as well")],
)
def test_a_key_that_is_not_enough_is_told(door, answer, says):
    with pytest.raises(AuthenticationFailed) as error:
        entered(door, answer)
    assert says in error.value.details


def test_a_login_without_an_answer_ends_with_its_time(door):
    with pytest.raises(TimedOut, match="no answer to the login in 3 s"):
        entered(door, None)


def test_a_server_without_a_word_ends_with_its_time(door):
    with pytest.raises(TimedOut, match="did not answer in 3 s"):
        login(door[1], Jumps())


def test_a_server_that_hangs_up_is_told_at_once(door):
    def hang_up():
        door[0].accept()[0].close()

    threading.Thread(target=hang_up, daemon=True).start()
    with pytest.raises(Unreachable, match="hung up before the key exchange"):
        login(door[1], Jumps())


def test_a_key_in_revoked_host_keys_lets_nobody_in(door, tmp_path):
    listening, endpoint = door
    (tmp_path / "revoked").write_text(f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()} stolen\n")
    with pytest.raises(HostKeyRevoked, match="revoked key") as error:
        entered((listening, replace(endpoint, revoked=tmp_path / "revoked")), paramiko.AUTH_SUCCESSFUL)
    assert "RevokedHostKeys" in error.value.details


@pytest.fixture
def ssh_agent(tmp_path, monkeypatch):
    """A real agent that holds one key, whose private file is gone."""
    said = subprocess.run(["ssh-agent", "-s", "-a", tmp_path / "agent"], capture_output=True, text=True, check=True)
    pid = int(re.search(r"SSH_AGENT_PID=(\d+)", said.stdout)[1])
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    key = tmp_path / "token"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    subprocess.run(["ssh-add", "-q", key], check=True)
    key.unlink()
    yield key
    os.kill(pid, signal.SIGTERM)


@pytest.mark.machine
@pytest.mark.parametrize("name", ["token", "token.pub"])
def test_a_public_key_chooses_the_agents(ssh_agent, name):
    agent = paramiko.Agent()
    offer = Offer(Endpoint("gpu01", "gpu01", keys=(ssh_agent.with_name(name),), only_keys=True), agent)
    assert [key.get_name() for key in offer] == ["ssh-ed25519"], offer.notes
    agent.close()
