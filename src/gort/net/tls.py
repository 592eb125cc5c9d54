"""TLS over any Conn, by ssl's MemoryBIOs: dial_tls, listen_tls, start_tls.

The engine, an ssl.SSLObject, only computes: ciphertext goes in and out through two buffers.
1. mu is held for each call of the engine, and never over an await.
2. rmu is held by who takes ciphertext from below to feed it: the reader, or a writer whose
   engine wants to hear first. Between the two there is no await, so nothing is lost.
3. wmu is held by who sends ciphertext. It goes out in the order in which the engine produced
   it: what a failed send leaves lies in `rest`, and goes before anything else. A write that is
   cancelled counts what the engine took, for that goes out in any case: a goroutine sees to
   it, so that the peer does not wait for half a record. The same one sends what a read
   produced, such as the answer to a key update: to read must not wait for a peer to do so.
"""

from __future__ import annotations

import errno
import os
import ssl
import threading
from collections.abc import Coroutine
from typing import Any

from ..runtime.boot import go
from ..runtime.mutex import Mutex
from ..runtime.netfd import Using
from ..runtime.pollfile import checkpoint
from ..runtime.syscall import syscall
from ..runtime.timeout import shield
from .address import Address, checknetwork, hostport
from .conn import READ, WRITE, Conn, Transport
from .dial import dial
from .listen import Listener, listening
from .stream import Stream, Streamconn

__all__ = ["TLSConn", "TLSListener", "dial_tls", "listen_tls", "start_tls"]

_CHUNK = 65536
_LINGER = 1.0  # seconds for a close to say so, and to take in what has come
_MOST = 1024  # chunks that it takes in
_SESSIONS = 64  # kept for a context

Name = tuple[str, Any, int, bool]


class Tls(Transport):
    """What a TLS connection is made of, over the Transport of another Conn."""

    def __init__(
        self, below: Conn, context: ssl.SSLContext, server_side: bool, name: str | None
    ) -> None:
        self.below = below
        self.transport = below.transport
        self.file = self.transport.file
        # Another Conn over it: the sides of `below` are taken.
        kind = Streamconn if isinstance(below, Streamconn) else Conn
        self.link = kind(self.transport)
        self.context = context
        self.server_side = server_side
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.name = None if server_side or name is None else sessionname(below, context, name)
        session = None if self.name is None else sessions(context).pop(self.name, None)
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_side, name, session)
        self.mu = threading.Lock()
        self.rmu = Mutex()
        self.wmu = Mutex()
        self.hmu = Mutex()
        # mu. fed: how often there was ciphertext, or its end (eof). ready: plaintext that was
        # taken out before its time. over: how reading ended: None while it has not, "" cleanly.
        # shut: close_notify was produced.
        self.fed = 0
        self.eof = self.shut = self.heard = False
        self.ready: list[bytes] = []
        self.over: ssl.SSLError | str | None = None
        # hmu. Whether the handshake is done, and why it cannot be.
        self.done = False
        self.failure: Exception | None = None
        # wmu.
        self.rest = b""
        self.unwrapped = False
        self.feed(below.detach())

    # ---- the handshake

    async def handshake(self) -> None:
        """Do it, unless it is done; cancelled, the next goes on with it."""
        async with self.hmu:
            while not self.done:
                if self.failure is not None:
                    raise self.failure.with_traceback(None)
                seen, complete = self.advance()
                try:
                    await self.sendout()
                except OSError:
                    if self.failure is None:
                        raise
                if complete:
                    self.done = True
                elif self.failure is None:
                    await self.fill(seen)

    def advance(self) -> tuple[int, bool]:
        with self.mu:
            try:
                self.ssl.do_handshake()
                return self.fed, True
            except ssl.SSLWantReadError:
                pass
            except (ssl.SSLError, ValueError) as e:
                self.failure = e
            return self.fed, False

    # ---- to read

    async def recv(self, n: int) -> bytes:
        if not self.done:
            await self.handshake()
        while True:
            with self.mu:
                data = self.take(n)
                seen = self.fed
                answers = self.outgoing.pending
            if answers:
                self.kick()
            if data is not None:
                return data
            await self.fill(seen)

    def take(self, n: int) -> bytes | None:
        """From 1 to n bytes of plaintext, b"" at the end, None when there are none yet.
        Raises SSLEOFError at an end that no close_notify announced. mu is held."""
        return self.takeready(n) if self.ready else self.decrypt(n)

    def decrypt(self, n: int) -> bytes | None:
        """As take, past what is ready. mu is held."""
        if self.over is not None:
            if isinstance(self.over, str):
                return b""
            raise self.over.with_traceback(None)
        if self.incoming.pending:
            self.heard = True
        elif not (self.ssl.pending() or self.eof):
            return None
        try:
            data: bytes = self.ssl.read(n)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            data = b""
        except ssl.SSLError as e:
            self.over = e
            raise
        if not data:
            self.over = ""
        elif self.name is not None:
            self.keepsession()
        return data

    def takeready(self, n: int) -> bytes:
        data = self.ready[0]
        if len(data) <= n:
            del self.ready[0]
            return data
        self.ready[0] = data[n:]
        return data[:n]

    async def fill(self, seen: int) -> None:
        """Feed what comes from below, unless somebody did since `fed` was as seen."""
        if not self.rmu.try_lock():
            await self.rmu.lock()
        try:
            if self.fed == seen and not self.eof:
                self.feed(await self.link.read(_CHUNK), True)
        finally:
            self.rmu.unlock()

    def feed(self, data: bytes, ended: bool = False) -> None:
        """ended: no data is the end."""
        with self.mu:
            self.fed += 1
            if data:
                self.incoming.write(data)
            elif ended:
                self.eof = True
                self.incoming.write_eof()

    # ---- to write

    async def send(self, data: memoryview) -> None:
        n = 0
        try:
            if not self.done:
                await self.handshake()
            if not self.wmu.try_lock():
                await self.wmu.lock()
            cancelled = True
            try:
                while True:
                    took, out, seen = self.put(
                        data[n : n + _CHUNK] if n or len(data) > _CHUNK else data
                    )
                    n += took
                    await self.push(out)
                    if n == len(data):
                        return
                    if not took:
                        await self.fill(seen)
            except Exception:
                cancelled = False
                raise
            finally:
                self.letgo(cancelled)
        except BaseException as e:
            e.written = n  # type: ignore[attr-defined]
            raise

    async def sendv(self, buffers: list[memoryview]) -> None:
        await self.send(memoryview(b"".join(buffers)))

    def put(self, data: memoryview) -> tuple[int, bytes, int]:
        """Have the engine encrypt data: how much it took, 0 while it wants to hear first; what
        is to be sent; and what was fed by then. wmu is held."""
        took = 0
        with self.mu:
            if self.shut:
                raise BrokenPipeError(errno.EPIPE, "write: this side was closed for writing")
            if len(data):
                try:
                    took = self.ssl.write(data)
                except ssl.SSLWantReadError:
                    pass
            return took, self.outgoing.read(), self.fed

    async def sendout(self) -> None:
        """Send what the engine has produced."""
        if not self.wmu.try_lock():
            await self.wmu.lock()
        cancelled = True
        try:
            await self.flush()
        except Exception:
            cancelled = False
            raise
        finally:
            self.letgo(cancelled)

    async def flush(self) -> None:
        """Send what the engine has produced; wmu is held."""
        with self.mu:
            out = self.outgoing.read()
        await self.push(out)

    async def push(self, out: bytes) -> None:
        """Send what was left over, and out. wmu is held."""
        if self.rest:
            out = self.rest + out
        if not out:
            return
        try:
            await self.link.write(out)
        except BaseException as e:
            self.rest = out[getattr(e, "written", 0) :]
            raise
        self.rest = b""

    def letgo(self, go_on: bool) -> None:
        """Let go of wmu; go_on: have somebody send what is left, or was produced meanwhile.
        Not after a failure, which would be his as well."""
        left = bool(self.rest)
        self.wmu.unlock()
        if go_on:
            with self.mu:
                left = left or self.outgoing.pending > 0
            if left:
                self.kick()

    def kick(self) -> None:
        """Have a goroutine send what the engine has produced, unless somebody is at it."""
        if not self.transport.closed and self.wmu.try_lock():
            try:
                go(self.sendrest)
            except RuntimeError:  # the runtime goes down
                self.wmu.unlock()

    async def sendrest(self) -> None:
        """wmu is held, by this goroutine from its start."""
        sent = False
        try:
            await self.flush()
            sent = True
        except OSError:
            pass  # who writes next sees the same
        finally:
            self.letgo(sent)

    # ---- the end

    def shutdown(self) -> None:
        """Produce close_notify, unless it was. mu is held."""
        if not self.shut:
            # The engine reads on its way, and would take plaintext that it finds for an error.
            self.drain()
            self.shut = True
            try:
                self.ssl.unwrap()
            except ssl.SSLError:
                pass

    def drain(self) -> None:
        """Have the engine's plaintext ready. mu is held."""
        try:
            while data := self.decrypt(_CHUNK):
                self.ready.append(data)
        except ssl.SSLError:
            pass  # it is in `over`

    async def close_write(self) -> None:
        if not self.done:
            await self.handshake()
        with self.mu:
            self.shutdown()
        await self.sendout()

    async def unwrap(self) -> bytes:
        """Agree on the end of TLS; what came after it."""
        await self.close_write()
        while True:
            with self.mu:
                self.drain()
                seen = self.fed
            if isinstance(self.over, ssl.SSLError):
                raise self.over.with_traceback(None)
            if self.over is not None:
                break
            await self.fill(seen)
        self.unwrapped = True
        return self.incoming.read()

    async def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self.unwrapped:
            return
        try:
            if self.done and not self.transport.closed:
                self.transport.set_deadline(READ | WRITE, _LINGER)
                async with shield(_LINGER):
                    await self.farewell()
        except OSError:
            pass
        finally:
            await self.transport.close()

    async def farewell(self) -> None:
        """Send close_notify, and take in what has come: the kernel resets a connection that
        is closed with something unread, and what the peer has not read yet is lost then. A
        client that has heard nothing since the handshake awaits the session tickets."""
        with self.mu:
            self.shutdown()
            self.keepsession()
        await self.sendout()
        if not self.rmu.try_lock():
            return  # who reads takes it in
        try:
            self.takein()
            expects = not (self.server_side or self.heard or self.eof)
            if expects and self.ssl.version() == "TLSv1.3":
                self.discard(await self.link.read(_CHUNK))
                self.takein()
        finally:
            self.rmu.unlock()

    def takein(self) -> None:
        """Take in what has come, as far as that can be known. rmu is held."""
        if not isinstance(self.transport, Stream):
            return
        sock = self.transport.sock
        for _ in range(_MOST):
            with Using(sock):
                try:
                    data = sock.recv(_CHUNK) if sock.fileno() >= 0 else b""
                except (BlockingIOError, InterruptedError):
                    return
            self.discard(data)
            if not data:
                return

    def discard(self, data: bytes) -> None:
        self.feed(data, True)
        with self.mu:
            self.drain()
            self.ready.clear()
            self.keepsession()

    def keepsession(self) -> None:
        """Keep the session for the next connection to the same server. mu is held."""
        session = self.ssl.session
        if self.name is not None and session is not None and session.has_ticket:
            kept = sessions(self.context)
            while len(kept) >= _SESSIONS:
                kept.pop(next(iter(kept)), None)
            kept[self.name] = session
            self.name = None

    # ---- what it has of the Transport below

    def set_deadline(self, mode: int, seconds: float | None) -> None:
        self.transport.set_deadline(mode, seconds)

    @property
    def sock(self) -> Any:
        return self.transport.sock

    def local_addr(self) -> Any:
        return self.transport.local_addr()

    def remote_addr(self) -> Any:
        return self.transport.remote_addr()


def sessionname(below: Conn, context: ssl.SSLContext, name: str) -> Name:
    """What a session is kept under: it spares the check of the certificate, so only for
    who would check as much."""
    address = below.remote_addr
    port = address[1] if isinstance(address, tuple) else address
    return name, port, int(context.verify_mode), context.check_hostname


def sessions(context: ssl.SSLContext) -> dict[Name, ssl.SSLSession]:
    """The context's own dict: a session refers to its context."""
    kept: dict[Name, ssl.SSLSession] = vars(context).setdefault("_gort_sessions", {})
    return kept


class TLSConn(Conn):
    """A Conn over TLS. Its calls raise ssl.SSLError beside what a Conn's raise, and
    ssl.SSLEOFError at an end that no close_notify announced, which an attacker may have made.

    close_write sends close_notify; close, too, and takes in what has come; it waits for
    neither longer than a second. `written` counts plaintext: what it counts of a write that
    was cancelled goes out yet, before all else.
    """

    __slots__ = ("_below", "_tls")

    def __init__(
        self,
        below: Conn,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
    ) -> None:
        """Take over `below`, which nobody reads or writes until unwrap; the first read or
        write does the handshake."""
        what = "start_tls"
        checkcontext(context, what)
        if context.check_hostname and not server_side and not server_hostname:
            # wrap_bio would check no name then, without a word.
            raise ValueError(f"{what}: server_hostname must say whose certificate to expect")
        if below.closed:
            raise OSError(errno.EBADF, f"{what}: the connection is closed")
        below.enter(WRITE, what)
        try:
            self._tls = Tls(below, context, server_side, server_hostname)
            below.enter(READ, what)
        except BaseException:
            below.leave(WRITE)
            raise
        self._below = below
        super().__init__(self._tls)

    async def _get(self, what: str, kind: Any, n: int) -> bytes:
        """As Conn's, in one coroutine for all."""
        self.enter(READ, what)
        try:
            tls = self._tls
            if tls.closed:
                raise OSError(errno.EBADF, f"{what}: the connection is closed")
            await checkpoint()
            if n == 0:
                return b""
            while (found := self.take(kind, n)) is None:
                data = await tls.recv(self.want(kind, n))
                if not data:
                    return self.rest(kind, n)
                self.feed(data)
            return bytes(found)
        finally:
            self.leave(READ)

    def handshake(self) -> Coroutine[Any, Any, None]:
        """Do the handshake now, unless it is done. Raises ssl.SSLError when it fails, such as
        ssl.SSLCertVerificationError."""
        return self._tls.handshake()

    @property
    def version(self) -> str | None:
        """The protocol, such as "TLSv1.3"; None before the handshake."""
        return self._tls.ssl.version() if self._tls.done else None

    @property
    def cipher(self) -> tuple[str, str, int] | None:
        """The cipher's name, its protocol and bits, as ssl has it; None before the handshake."""
        return self._tls.ssl.cipher() if self._tls.done else None

    @property
    def alpn(self) -> str | None:
        """The protocol that was agreed on, of those of context.set_alpn_protocols, or None."""
        return self._tls.ssl.selected_alpn_protocol()

    @property
    def session(self) -> ssl.SSLSession | None:
        """The session. A client resumes it by itself: one for each server is kept with the
        context."""
        return self._tls.ssl.session

    @property
    def session_reused(self) -> bool:
        """Whether the handshake resumed a session."""
        return bool(self._tls.ssl.session_reused)

    def peer_certificate(self, binary: bool = False) -> Any:
        """The other end's certificate, as ssl's getpeercert: a dict, empty when it was not
        checked, or the DER bytes; None when there is none. Raises ValueError before the
        handshake."""
        return self._tls.ssl.getpeercert(binary)

    async def unwrap(self) -> Conn:
        """End TLS, and go on in plain: the Conn below. The other end does the same, or has
        closed its side. What it sent in TLS before that is still to be read here.

        Cancelled, it may be called again. Raises ssl.SSLEOFError when the other end closes
        the connection instead."""
        self.enter(READ, "unwrap")
        try:
            self.enter(WRITE, "unwrap")
            try:
                if self.closed:
                    raise OSError(errno.EBADF, "unwrap: the connection is closed")
                if not self._tls.unwrapped:
                    rest = await self._tls.unwrap()
                    below = self._below
                    below.feed(rest)
                    below.leave(READ)
                    below.leave(WRITE)
                return self._below
            finally:
                self.leave(WRITE)
        finally:
            self.leave(READ)


def start_tls(
    conn: Conn,
    context: ssl.SSLContext,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
) -> Coroutine[Any, Any, TLSConn]:
    """Go on in TLS over a Conn, of which what has come and was not read is the beginning;
    await it: a TLSConn, whose handshake is done. Use conn no more, but to close it.

    server_hostname: whom a client expects. Raises ssl.SSLError when the handshake fails, which
    closes conn, as a cancel does; RuntimeError while a goroutine reads or writes conn.
    """
    if not isinstance(conn, Conn):
        raise TypeError(f"start_tls: expected a Conn, not {type(conn).__name__}")
    checkcontext(context, "start_tls")
    return _start(conn, context, server_side, server_hostname)


async def _start(
    conn: Conn, context: ssl.SSLContext, server_side: bool, name: str | None
) -> TLSConn:
    tls = TLSConn(conn, context, server_side=server_side, server_hostname=name)
    try:
        await tls.handshake()
    except BaseException:
        await tls.close()
        raise
    return tls


def checkcontext(context: Any, what: str) -> None:
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"{what}: context must be an ssl.SSLContext, not {type(context).__name__}")


def dial_tls(
    address: Address,
    *,
    context: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
) -> Coroutine[Any, Any, TLSConn]:
    """Connect over TCP and TLS; await it: a TLSConn, whose handshake is done.

    context: ssl.create_default_context() by default. server_hostname: whom to expect, and to
    ask for (SNI); by default the host of address. Raises as dial, and ssl.SSLError when the
    handshake fails.
    """
    if context is not None:
        checkcontext(context, "dial_tls")
    host = hostport(address, "dial_tls")[0]
    return _dial(address, context, host if server_hostname is None else server_hostname)


async def _dial(address: Address, context: ssl.SSLContext | None, name: str) -> TLSConn:
    if context is None:
        context = await syscall(defaultcontext)
    conn = await dial("tcp", address)
    try:
        return await _start(conn, context, False, name)
    except BaseException:
        await conn.close()
        raise


_defaults: dict[tuple[str | None, ...], ssl.SSLContext] = {}


def defaultcontext() -> ssl.SSLContext:
    """One for as long as the environment names the same authorities: they take time to load,
    and a context keeps its sessions."""
    names = "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"
    key = tuple(os.environ.get(name) for name in names)
    context = _defaults.get(key)
    if context is None:
        context = _defaults[key] = ssl.create_default_context()
    return context


class TLSListener(Listener):
    """A Listener whose connections are TLSConns. The first read or write of one does the
    handshake: a client that is silent stops nobody else."""

    __slots__ = ("_context",)

    _context: ssl.SSLContext

    def _conn(self, sock: Any, remote: Any) -> Conn:
        return TLSConn(super()._conn(sock, remote), self._context, server_side=True)


def listen_tls(
    network: str,
    address: Address,
    context: ssl.SSLContext,
    *,
    backlog: int = 4096,
    reuse_port: bool = False,
) -> Coroutine[Any, Any, TLSListener]:
    """Listen for TLS; await it: a TLSListener. context: with the server's certificate.

    Raises as listen, TypeError for what is no context.
    """
    checknetwork(network, "listen_tls", "tcp", "unix")
    checkcontext(context, "listen_tls")
    return _listen(network, address, context, backlog, reuse_port)


async def _listen(
    network: str, address: Address, context: ssl.SSLContext, backlog: int, reuse_port: bool
) -> TLSListener:
    ln = TLSListener(await listening(network, address, backlog, reuse_port))
    ln._context = context
    return ln
