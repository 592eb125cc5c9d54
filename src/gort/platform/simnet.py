"""A simulated network: stream sockets between virtual hosts, on the simulator's engine.

A Net belongs to a run. What is sent arrives in pieces, as the seed says, after the
latency; what goes from one side of a partition to the other waits until that is healed.
Each call is a point of the simulation; readiness is that of the platform's virtual files.
"""

from __future__ import annotations

import errno
import os
import socket as real
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sim import File, current, files, mark
else:
    from . import File, current, files, mark

FIRST = 100_000
"""The lowest number of a virtual socket; a number is given out again, as a kernel does."""
WINDOW = 65536
"""How many bytes a connection holds each way."""
TIMEOUT = 127_000_000_000
"""After how many ns a connect that nobody answers fails, as Linux's."""
_EPHEMERAL = 32768


class Net:
    """The network of a run.

    latency: the least and the most seconds that bytes take. pieces: how likely what is
    sent comes in two pieces, and that less is sent than there is room for. loss: how likely
    a datagram does not come. hosts: the addresses of each name, for getaddrinfo.
    """

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.latency = (0.0, 0.0)
        self.pieces = 0.3
        self.listeners: dict[Any, Socket] = {}
        self.packets: dict[Any, Socket] = {}
        """Who receives the datagrams to an address."""
        self.loss = 0.0
        self.hosts: dict[str, list[str]] = {}
        self.port = _EPHEMERAL
        self.sides: list[frozenset[str]] = []
        self.held: list[tuple[Socket, Socket, Callable[[], None]]] = []

    def partition(self, *sides: Iterable[str]) -> None:
        """Let nothing pass between hosts of different sides, sets of addresses; a host that
        is on none is cut off from nobody."""
        self.sides = [frozenset(side) for side in sides]

    def heal(self) -> None:
        """End the partition; what waited for it arrives."""
        self.sides = []
        held, self.held = self.held, []
        for a, b, fn in held:
            self.carry(a, b, fn)

    def apart(self, a: Socket, b: Socket) -> bool:
        on = [[i for i, side in enumerate(self.sides) if host(s) in side] for s in (a, b)]
        return bool(on[0] and on[1]) and on[0] != on[1]

    def carry(self, a: Socket, b: Socket, fn: Callable[[], None]) -> None:
        """Have fn happen at b after what a has sent before has come."""
        if self.apart(a, b):
            self.held.append((a, b, fn))
            return
        low, high = self.latency
        took = low + (high - low) * self.engine.strategy.rng.random()
        when = max(self.engine.clock + round(took * 1e9), a.last)
        a.last = when
        if when <= self.engine.clock:
            fn()
        else:
            self.engine.post(when, fn)

    def number(self) -> int:
        fd = FIRST
        while fd in files:
            fd += 1
        return fd

    def free(self) -> int:
        self.port += 1
        return self.port


def host(s: Socket) -> str:
    name = s.name
    return name[0] if isinstance(name, tuple) else ""


def network() -> Net:
    """The network of the run under way; RuntimeError outside one."""
    e = current()
    if e is None:
        raise RuntimeError(
            "network() is for simulated programs: call it under gort.testing.run_sim"
        )
    if e.net is None:
        e.net = Net(e)
    net: Net = e.net
    return net


def failed(code: int) -> OSError:
    return OSError(code, os.strerror(code))


class Socket:
    """A stream socket of the simulation, with the methods of socket.socket that one needs."""

    simulated = True

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1) -> None:
        self.family = real.AF_INET if family == -1 else real.AddressFamily(family)
        self.type = real.SOCK_STREAM if type == -1 else real.SocketKind(type & 0xF)
        self.proto = max(proto, 0)
        if self.type not in (real.SOCK_STREAM, real.SOCK_DGRAM):
            raise OSError(errno.EPROTONOSUPPORT, "only streams and datagrams are simulated")
        self.options: dict[tuple[int, int], Any] = {}
        self.datagrams: list[tuple[bytes, Any]] = []
        self.net = network()
        self.fd = self.net.number()
        self.file = files[self.fd] = File()
        self.timeout: float | None = None
        self.name: Any = ("0.0.0.0", 0)
        if self.family == real.AF_UNIX:
            self.name = ""
        elif self.family == real.AF_INET6:
            self.name = ("::", 0, 0, 0)
        self.peer: Socket | None = None
        self.peername: Any = None
        self.backlog: list[Socket] = []
        self.limit = 0
        self.state = "new"
        self.error = 0
        self.arrived = bytearray()
        self.flying = 0
        """Bytes that are on their way to here."""
        self.ended = False
        """The other end sends no more, and all of it has come."""
        self.shut = False
        """This end sends no more."""
        self.last = 0
        """When what was sent last arrives, in ns of the virtual clock."""
        self.sleepers: list[Any] = []
        self.changed()

    # ---- readiness ---------------------------------------------------------------------

    def readable(self) -> bool:
        waiting = self.arrived or self.ended or self.backlog or self.datagrams
        return bool(waiting or self.error)

    def room(self) -> int:
        peer = self.peer
        return WINDOW - len(peer.arrived) - peer.flying if peer is not None else WINDOW

    def writable(self) -> bool:
        if self.type == real.SOCK_DGRAM:
            return True
        return bool(self.error or (self.state == "open" and (self.shut or self.room() > 0)))

    def changed(self) -> None:
        """Tell the poller, and who waits in a blocking call."""
        if self.fd < 0:
            return
        mark(self.fd, self.readable() | self.writable() << 1)
        for t in self.sleepers:
            self.net.engine.wake(t)

    def sleep(self, ready: Callable[[], bool]) -> None:
        """A blocking call waits; BlockingIOError, or TimeoutError, for one that must not."""
        e = self.net.engine
        if self.timeout == 0.0:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        until = None if self.timeout is None else e.clock + round(self.timeout * 1e9)
        while not ready() and self.fd >= 0:
            if until is not None and e.clock >= until:
                raise TimeoutError("timed out")
            self.sleepers.append(e.running)
            e.block(until)
            self.sleepers.remove(e.running)
        self.check()

    def check(self) -> None:
        if self.fd < 0:
            raise failed(errno.EBADF)

    def point(self, what: str) -> None:
        e = current()
        if e is None:
            raise RuntimeError(f"socket.{what}: this socket is of a simulation that is over")
        e.point(what)
        self.check()

    def takeerror(self) -> None:
        if self.error:
            code, self.error = self.error, 0
            self.changed()
            raise failed(code)

    # ---- the two ends --------------------------------------------------------------------

    def address(self, address: Any) -> Any:
        if self.family == real.AF_UNIX:
            return os.fsdecode(address) if isinstance(address, (bytes, os.PathLike)) else address
        if not isinstance(address, tuple) or len(address) < 2:
            raise TypeError(f"an address must be a tuple (host, port), not {address!r:.60}")
        name, port = address[:2]
        if not 0 <= port <= 65535:
            raise OverflowError("port must be 0-65535.")
        return ({"localhost": "127.0.0.1", "": "0.0.0.0"}.get(name, name), port)

    def bind(self, address: Any) -> None:
        self.point("bind")
        name = self.address(address)
        if isinstance(name, tuple) and name[1] == 0:
            name = name[0], self.net.free()
        taken = self.net.packets if self.type == real.SOCK_DGRAM else self.net.listeners
        if name in taken:
            raise failed(errno.EADDRINUSE)
        self.name = name
        if self.type == real.SOCK_DGRAM:
            self.net.packets[name] = self

    def listen(self, backlog: int = 128) -> None:
        self.point("listen")
        if isinstance(self.name, tuple) and self.name[1] == 0:
            self.name = self.name[0], self.net.free()
        if self.net.listeners.setdefault(self.name, self) is not self:
            raise failed(errno.EADDRINUSE)
        self.limit = max(backlog, 1)
        self.state = "listening"

    def accept(self) -> tuple[Socket, Any]:
        self.point("accept")
        if self.state != "listening":
            raise failed(errno.EINVAL)
        if not self.backlog:
            self.sleep(lambda: bool(self.backlog))
        conn = self.backlog.pop(0)
        self.changed()
        return conn, conn.peername

    def connect_ex(self, address: Any) -> int:
        self.point("connect")
        if self.state == "open":
            return errno.EISCONN
        if self.state == "connecting":
            return errno.EALREADY
        if self.state != "new":
            return errno.EINVAL
        to = self.address(address)
        if self.type == real.SOCK_DGRAM:
            self.named(to)
            self.state, self.peername = "open", to
            return 0
        if isinstance(self.name, tuple) and self.name[1] == 0:
            own = "127.0.0.1" if self.name[0] in ("0.0.0.0", "::") else self.name[0]
            self.name = own, self.net.free()
        self.state = "connecting"
        far = Address(to)
        self.net.carry(self, far, lambda: self.knock(to))  # type: ignore[arg-type]
        self.net.engine.post(self.net.engine.clock + TIMEOUT, self.giveup)
        if self.timeout == 0.0 and self.state == "connecting":
            return errno.EINPROGRESS
        if self.state == "connecting":
            self.sleep(lambda: self.state != "connecting")
        code, self.error = self.error, 0
        return code

    def connect(self, address: Any) -> None:
        code = self.connect_ex(address)
        if code:
            raise failed(code)

    def knock(self, to: Any) -> None:
        """A connect comes to who listens there, if somebody does."""
        at = whose(self.net.listeners, to)
        if self.state != "connecting" or self.fd < 0:
            return
        if at is None or len(at.backlog) >= at.limit:
            self.answered(errno.ECONNREFUSED if self.family != real.AF_UNIX else errno.ENOENT)
            return
        conn = Socket(self.family, self.type)
        conn.name, conn.peername, conn.peer = to, self.name, self
        conn.options = dict(at.options)
        conn.state = "open"
        self.peer, self.peername = conn, to
        at.backlog.append(conn)
        at.changed()
        conn.changed()
        self.net.carry(conn, self, lambda: self.answered(0))

    def answered(self, code: int) -> None:
        if self.state == "connecting":
            self.state, self.error = ("failed" if code else "open"), code
            self.changed()

    def giveup(self) -> None:
        self.answered(errno.ETIMEDOUT)

    # ---- bytes -----------------------------------------------------------------------------

    def send(self, data: Any, flags: int = 0) -> int:
        self.point("send")
        view = memoryview(data).cast("B")
        self.takeerror()
        if self.type == real.SOCK_DGRAM:
            if self.peername is None:
                raise failed(errno.EDESTADDRREQ)
            return self.throw(bytes(view), self.peername)
        if self.shut or self.state != "open" or self.peer is None:
            raise failed(errno.EPIPE if self.state == "open" else errno.ENOTCONN)
        if len(view) and self.room() <= 0:
            if flags & real.MSG_DONTWAIT:
                raise failed(errno.EAGAIN)
            self.sleep(self.writable)
            self.takeerror()
        n = min(len(view), self.room())
        rng = self.net.engine.strategy.rng
        if n > 1 and rng.random() < self.net.pieces:
            n = rng.randint(1, n)
        at = rng.randrange(1, n) if n > 1 and rng.random() < self.net.pieces else n
        self.fly(bytes(view[:at]), 0)
        if at < n:
            self.fly(bytes(view[at:n]), rng.randrange(1_000, 100_000))
        self.changed()
        return n

    def fly(self, data: bytes, later: int) -> None:
        """data is on its way."""
        peer = self.peer
        if peer is None or not data:
            return
        peer.flying += len(data)
        if later:
            self.last = max(self.last, self.net.engine.clock) + later
        self.net.carry(self, peer, lambda: peer.come(data))

    def come(self, data: bytes) -> None:
        self.flying -= len(data)
        if self.fd < 0:
            if self.peer is not None:
                self.peer.broken(errno.ECONNRESET)  # nobody is here any more
            return
        self.arrived += data
        self.changed()

    def sendall(self, data: Any) -> None:
        view = memoryview(data).cast("B")
        while len(view):
            view = view[self.send(view) :]

    def sendmsg(self, buffers: Iterable[Any], ancdata: Any = (), flags: int = 0) -> int:
        if ancdata:
            raise OSError(errno.EOPNOTSUPP, "no ancillary data is simulated")
        return self.send(b"".join(bytes(b) for b in buffers), flags)

    def recvmsg(self, n: int, room: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        return self.recv(n, flags & real.MSG_DONTWAIT), [], 0, None

    # ---- datagrams

    def named(self, to: Any) -> None:
        """A socket that sends has a name."""
        if isinstance(self.name, tuple) and self.name[1] == 0:
            own = self.name[0]
            if own in ("0.0.0.0", "::"):
                own = "127.0.0.1"
            self.name = own, self.net.free()
            self.net.packets[self.name] = self

    def throw(self, data: bytes, to: Any) -> int:
        """A datagram is on its way; a refused one comes back as an error, as ICMP has it."""
        if len(data) > 65507:
            raise failed(errno.EMSGSIZE)
        self.named(to)
        origin = self.name
        if origin[0] in ("0.0.0.0", "::"):
            origin = "127.0.0.1", origin[1]
        if self.net.engine.strategy.rng.random() < self.net.loss:
            return len(data)
        if self.net.apart(self, Address(to)):  # type: ignore[arg-type]
            return len(data)

        def land() -> None:
            at = whose(self.net.packets, to)
            if at is not None and (at.peername is None or at.peername == origin):
                if len(at.datagrams) < 256:
                    at.datagrams.append((data, origin))
                    at.changed()
            elif at is None and self.peername is not None and self.fd >= 0:
                self.error = errno.ECONNREFUSED
                self.changed()

        self.net.carry(self, Address(to), land)  # type: ignore[arg-type]
        return len(data)

    def sendto(self, data: Any, *rest: Any) -> int:
        self.point("sendto")
        self.takeerror()
        return self.throw(bytes(memoryview(data).cast("B")), self.address(rest[-1]))

    def recvfrom(self, n: int, flags: int = 0) -> tuple[bytes, Any]:
        self.point("recvfrom")
        self.takeerror()
        if not self.datagrams:
            if flags & real.MSG_DONTWAIT:
                raise failed(errno.EAGAIN)
            self.sleep(self.readable)
            self.takeerror()
        data, origin = self.datagrams.pop(0)
        self.changed()
        return data[:n], origin

    def recv(self, n: int, flags: int = 0) -> bytes:
        if self.type == real.SOCK_DGRAM:
            return self.recvfrom(n, flags)[0]
        self.point("recv")
        if n < 0:
            raise ValueError("negative buffersize in recv")
        if not self.arrived:
            self.takeerror()
            if self.state not in ("open", "failed"):
                raise failed(errno.ENOTCONN)
            if self.ended:
                return b""
            if flags & real.MSG_DONTWAIT:
                raise failed(errno.EAGAIN)
            self.sleep(self.readable)
            self.takeerror()
        data = bytes(self.arrived[:n])
        del self.arrived[:n]
        self.changed()
        if self.peer is not None:
            self.peer.changed()
        return data

    def recv_into(self, buffer: Any, n: int = 0, flags: int = 0) -> int:
        view = memoryview(buffer).cast("B")
        data = self.recv(n or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def shutdown(self, how: int) -> None:
        self.point("shutdown")
        if self.state != "open":
            raise failed(errno.ENOTCONN)
        if how in (real.SHUT_WR, real.SHUT_RDWR):
            self.finish()
        if how in (real.SHUT_RD, real.SHUT_RDWR):
            self.ended = True
        self.changed()

    def finish(self) -> None:
        """No more is sent: the other end sees that after all the bytes."""
        peer = self.peer
        if self.shut or peer is None:
            return
        self.shut = True

        def end() -> None:
            peer.ended = True
            peer.changed()

        self.net.carry(self, peer, end)

    def broken(self, code: int) -> None:
        """The connection is reset: what has not been read is lost."""
        if self.fd >= 0 and self.state == "open":
            self.error, self.ended, self.shut = code, True, True
            self.arrived.clear()
            self.changed()

    def reset(self) -> None:
        """Break the connection, at both ends (ECONNRESET). Of the simulation alone."""
        peer = self.peer
        self.broken(errno.ECONNRESET)
        if peer is not None:
            peer.broken(errno.ECONNRESET)

    def close(self) -> None:
        e = current()
        if e is not None:
            e.point("close")
        if self.fd < 0:
            return
        fd, self.fd = self.fd, -1
        self.gone(fd)

    def gone(self, fd: int) -> None:
        """It has no number any more, which was fd: close what that stood for."""
        if files.get(fd) is self.file:
            del files[fd]
        for table in (self.net.listeners, self.net.packets):
            if table.get(self.name) is self:
                del table[self.name]
        for conn in self.backlog:
            conn.reset()
        peer = self.peer
        if peer is not None and self.arrived:
            self.net.carry(self, peer, lambda: peer.broken(errno.ECONNRESET))
        else:
            self.finish()
        for t in self.sleepers:
            self.net.engine.wake(t)

    # ---- the rest --------------------------------------------------------------------------

    def fileno(self) -> int:
        return self.fd

    def setblocking(self, flag: bool) -> None:
        self.check()
        self.timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        return self.timeout != 0.0

    def settimeout(self, value: float | None) -> None:
        self.check()
        self.timeout = value

    def gettimeout(self) -> float | None:
        return self.timeout

    def getsockname(self) -> Any:
        self.check()
        return self.name

    def getpeername(self) -> Any:
        self.check()
        if self.state != "open":
            raise failed(errno.ENOTCONN)
        return self.peername

    def setsockopt(self, level: int, option: int, *value: Any) -> None:
        self.check()
        self.options[level, option] = value[0] if value else None

    def getsockopt(self, level: int, option: int, buflen: int = 0) -> int:
        self.check()
        if (level, option) == (real.SOL_SOCKET, real.SO_ERROR):
            code, self.error = self.error, 0
            self.changed()
            return code
        if (level, option) == (real.SOL_SOCKET, real.SO_TYPE):
            return int(self.type)
        value = self.options.get((level, option), 0)
        return value if isinstance(value, int) else 0

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<simulated socket {self.fd}, {self.state}, {self.name} to {self.peername}>"


class Address:
    """A place that a connect is on its way to."""

    def __init__(self, name: Any) -> None:
        self.name = name


def whose(table: dict[Any, Socket], to: Any) -> Socket | None:
    """Who has an address, or all of them."""
    at = table.get(to)
    if at is None and isinstance(to, tuple):
        at = table.get(("0.0.0.0", to[1])) or table.get(("::", to[1]))
    return at


def getaddrinfo(
    host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[tuple[Any, Any, int, str, Any]]:
    """Addresses in digits, localhost, and the names in the network's `hosts`."""
    net = network()
    net.engine.point("getaddrinfo")
    name = "127.0.0.1" if host in (None, "", "localhost") else os.fsdecode(host)
    found: list[tuple[Any, Any, int, str, Any]] = []
    for ip in net.hosts.get(name, [name]):
        fam = real.AF_INET6 if ":" in ip else real.AF_INET
        try:
            real.inet_pton(fam, ip)
        except OSError:
            continue
        where = (ip, int(port or 0)) + ((0, 0) if fam == real.AF_INET6 else ())
        for kind in (real.SOCK_STREAM, real.SOCK_DGRAM):
            if family in (0, fam) and type in (0, kind):
                found.append((fam, kind, proto, "", where))
    if not found:
        raise real.gaierror(real.EAI_NONAME, "Name or service not known")
    return found


def socketpair(family: int = real.AF_UNIX, type: int = -1, proto: int = 0) -> tuple[Any, Any]:
    """Two sockets that are connected."""
    a, b = Socket(family, type, proto), Socket(family, type, proto)
    for s, other in ((a, b), (b, a)):
        s.peer, s.state, s.peername = other, "open", ""
    a.changed()
    b.changed()
    return a, b
