"""An HTTP/1.1 server and client on h11 (pip install h11), over gort.net.

`http.py` asks its own server a hundred times over four connections; `http.py serve` serves on
127.0.0.1:8000.
"""

import sys

import h11

import gort
from gort import net


class Peer:
    """One end of an HTTP connection: h11 says what the bytes mean, the Conn carries them."""

    def __init__(self, conn, role):
        self.conn = conn
        self.http = h11.Connection(role)

    async def event(self):
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await self.conn.read())
        return event

    async def message(self):
        """A request or response, and its body; None at the end of the connection."""
        head = await self.event()
        if not isinstance(head, (h11.Request, h11.Response)):
            return None
        body = b""
        while isinstance(event := await self.event(), h11.Data):
            body += event.data
        return head, body

    async def send(self, *events):
        await self.conn.writelines([self.http.send(event) or b"" for event in events])

    def again(self):
        """Whether the connection serves for another message."""
        if self.http.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            self.http.start_next_cycle()
            return True
        return False


async def handler(conn):
    peer = Peer(conn, h11.SERVER)
    while True:
        conn.set_read_deadline(30)  # for the whole of a request
        try:
            message = await peer.message()
        except h11.RemoteProtocolError as error:
            status, text = error.error_status_hint, b"bad request\n"
        except TimeoutError:
            return
        else:
            if message is None:
                return
            request, body = message
            status, text = 200, b"%s %s, %d bytes\n" % (request.method, request.target, len(body))
        headers = [("Content-Length", str(len(text))), ("Content-Type", "text/plain")]
        response = h11.Response(status_code=status, headers=headers)
        await peer.send(response, h11.Data(text), h11.EndOfMessage())
        if not peer.again():
            return


async def client(address, n):
    async with await net.dial("tcp", address) as conn:
        peer = Peer(conn, h11.CLIENT)
        for i in range(n):
            headers = [("Host", "localhost"), ("Content-Length", "4")]
            request = h11.Request(method="POST", target=f"/{i}", headers=headers)
            await peer.send(request, h11.Data(b"body"), h11.EndOfMessage())
            response, body = await peer.message()
            assert response.status_code == 200 and body == b"POST /%d, 4 bytes\n" % i
            peer.again()


async def main():
    serving = sys.argv[1:] == ["serve"]
    async with await net.listen("tcp", f"127.0.0.1:{8000 if serving else 0}") as ln:
        server = gort.go(net.serve, ln, handler, grace=5)
        if serving:
            await server
        async with gort.group() as clients:
            for _ in range(4):
                clients.go(client, ln.addr, 25)
        print("100 answers over 4 connections")
        await ln.close()
        await server


if __name__ == "__main__":
    gort.run(main)
