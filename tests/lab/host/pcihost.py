"""A vfio-user server for made-up PCI functions, one UNIX socket each, for QEMU's `vfio-user-pci`.

    python3 -m tests.lab.host.pcihost TOPOLOGY.json FOLDER      (serves FOLDER/card0.0.sock, card0.1.sock, ...)

Written from the vfio-user protocol (QEMU docs/interop/vfio-user.rst) and what QEMU 11.1 was seen to ask. QEMU itself
emulates BAR sizing and MSI, so no interrupt and no DMA is ever done from here; its file descriptors are closed at once.
"""

from __future__ import annotations

import array
import json
import socket
import struct
import sys
import threading
from pathlib import Path

from .pcifunc import Function

HEADER = struct.Struct("<HHIII")  # message id, command, size with header, flags, errno
REPLY, NO_REPLY, ERROR = 0x1, 0x10, 0x20
VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO, _IO_FDS, GET_IRQ_INFO, SET_IRQS = range(1, 9)
REGION_READ, REGION_WRITE, _DMA_READ, _DMA_WRITE, RESET, WRITE_MULTI = range(9, 15)
EINVAL, ENOTSUP = 22, 95
REGIONS, IRQS = 9, 5


class Refused(Exception):
    """The request gets an error reply with this errno."""

    def __init__(self, errno: int) -> None:
        """The errno is kept."""
        super().__init__(errno)
        self.errno = errno


class Server:
    """Answers one QEMU after the other for one function."""

    def __init__(self, function: Function, path: Path) -> None:
        """The socket listens; nobody is answered yet."""
        self.function = function
        self.name = path.stem
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.unlink(missing_ok=True)
        self.listener.bind(str(path))
        self.listener.listen(1)

    def serve(self) -> None:
        """Never returns: each client gets a function as after power-on."""
        while True:
            client, _ = self.listener.accept()
            self.function.reset()
            with client:
                try:
                    self._talk(client)
                except (ConnectionError, EOFError):
                    pass
                except Exception as error:  # noqa: BLE001 - said, and the next client is served
                    print(f"{self.name}: {error!r}", flush=True)

    def _talk(self, client: socket.socket) -> None:
        while True:
            number, command, size, flags, _ = HEADER.unpack(_take(client, HEADER.size))
            body = _take(client, size - HEADER.size)
            try:
                answer, flags_out, errno = self.answer(command, body), REPLY, 0
            except Refused as refused:
                answer, flags_out, errno = b"", REPLY | ERROR, refused.errno
                print(f"{self.name}: refused command {command} ({body.hex()[:64]})", flush=True)
            if not flags & NO_REPLY:
                client.sendall(HEADER.pack(number, command, HEADER.size + len(answer), flags_out, errno) + answer)

    def answer(self, command: int, body: bytes) -> bytes:
        """The reply's payload.

        Raises:
            Refused: the request makes no sense, or is none of those that QEMU was seen to send.
        """
        if command == VERSION:
            # the client's own version goes back: 0.1 in answer to 0.0 is called incompatible
            limits = {"capabilities": {"max_msg_fds": 8, "max_data_xfer_size": 1 << 20, "pgsizes": 4096}}
            return body[:4] + json.dumps(limits).encode() + b"\0"
        if command == GET_INFO:
            return struct.pack("<IIII", 16, 0x1 | 0x2, REGIONS, IRQS)  # may be reset, is PCI
        if command == GET_REGION_INFO:
            return self._region_info(*struct.unpack_from("<III", body))
        if command == GET_IRQ_INFO:
            index = struct.unpack_from("<III", body)[2]
            count = 1 if index in (0, 1, 4) else 0  # INTx, MSI, request
            kind = 0x7 if index == 0 else 0x9
            return struct.pack("<IIII", 16, kind if count else 0, index, count)
        if command in (REGION_READ, REGION_WRITE):
            return self._access(command, body)
        if command == WRITE_MULTI:
            return self._write_multi(body)
        if command == RESET:
            print(f"{self.name}: reset", flush=True)
            self.function.reset()
            return b""
        if command in (DMA_MAP, SET_IRQS):
            return b""
        if command == DMA_UNMAP:
            return body[:24]
        raise Refused(ENOTSUP)

    def _region_info(self, _argsz: int, _flags: int, index: int) -> bytes:
        if index >= REGIONS:
            raise Refused(EINVAL)
        size = self.function.region_size(index)
        return struct.pack("<IIIIQQ", 32, 0x3 if size else 0, index, 0, size, 0)

    def _access(self, command: int, body: bytes) -> bytes:
        offset, region, count = struct.unpack_from("<QII", body)
        if offset + count > self.function.region_size(region):
            raise Refused(EINVAL)
        if command == REGION_READ:
            return body[:16] + self.function.read(region, offset, count)
        self.function.write(region, offset, body[16 : 16 + count])
        return body[:16]

    def _write_multi(self, body: bytes) -> bytes:
        (count,) = struct.unpack_from("<Q", body)
        for number in range(count):
            offset, region, size = struct.unpack_from("<QII", body, 8 + 24 * number)
            self.function.write(region, offset, body[24 + 24 * number : 24 + 24 * number + size])
        return struct.pack("<Q", count)


def _take(client: socket.socket, count: int) -> bytes:
    """Exactly so many bytes; descriptors that come with them are closed: we never use them."""
    out = bytearray()
    room = socket.CMSG_SPACE(16 * array.array("i").itemsize)
    while len(out) < count:
        data, extra, _, _ = client.recvmsg(count - len(out), room)
        for level, kind, payload in extra:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors = array.array("i")
                descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
                for descriptor in descriptors:
                    socket.close(descriptor)
        if not data:
            raise EOFError
        out += data
    return bytes(out)


def main(topology: str, folder: str) -> None:
    """Every function of the topology that has a model is served until the process is killed."""
    cards = json.loads(Path(topology).read_text())["cards"]
    for number, card in enumerate(cards):
        functions = card["functions"]
        for index, spec in enumerate(functions):
            function = Function(spec, index=index, alone=len(functions) == 1)
            server = Server(function, Path(folder) / f"card{number}.{index}.sock")
            threading.Thread(target=server.serve, daemon=True).start()
    print("serving", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:3])
