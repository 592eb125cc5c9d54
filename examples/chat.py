"""A chat whose slow clients keep nobody waiting.

Each client has a goroutine that reads its lines, and one that writes what the others say from
a channel of 100. Whose channel is full is told nothing more and dropped. Run it, and connect with
`nc 127.0.0.1 4000` from several terminals; with an argument it runs a room of its own.
"""

import sys

import gort
from gort import net

ROOM = {}
"""The channel of each client."""


def say(line, speaker=None):
    for conn, outbox in list(ROOM.items()):
        if conn is speaker:
            continue
        try:
            outbox.send_nowait(line)
        except gort.WouldBlock:  # too slow
            ROOM.pop(conn, None)
            outbox.close()
        except gort.ChanClosed:
            pass


async def write(conn, outbox):
    """Write what comes; a client that takes nothing for ten seconds is gone."""
    async for line in outbox:
        conn.set_write_deadline(10)
        await conn.write(line)
    await conn.close()  # dropped, or left: wakes its reader


async def client(conn):
    name = f"{conn.remote_addr[1]}: ".encode()
    outbox = ROOM[conn] = gort.chan(100)
    writer = gort.go(write, conn, outbox)
    say(name + b"hello\n", conn)
    try:
        async for line in conn:
            say(name + line, conn)
    except OSError:
        pass  # dropped, or reset
    finally:
        if ROOM.pop(conn, None):
            outbox.close()
        say(name + b"bye\n")
        writer.cancel()
        try:
            await writer
        except (OSError, gort.Cancelled):
            pass


async def room():
    """Two who talk, and one who never reads."""
    async with await net.listen("tcp", "127.0.0.1:0") as ln:
        server = gort.go(net.serve, ln, client)
        ann = await net.dial("tcp", ln.addr)
        bob = await net.dial("tcp", ln.addr)
        assert b"hello" in await ann.readline()
        async with ann, bob, await net.dial("tcp", ln.addr):
            for who in ann, bob:
                assert b"hello" in await who.readline()
            flood = b"x" * 60_000 + b"\n"
            for _ in range(300):  # more than the third's buffers and channel hold
                await ann.write(flood)
                assert (await bob.readline()).endswith(flood)
            print("the two have talked, and", len(ROOM), "are left")
        await ln.close()
        await server


async def main():
    if sys.argv[1:]:
        return await room()
    async with await net.listen("tcp", "127.0.0.1:4000") as ln:
        print("listening on", ln.addr)
        await net.serve(ln, client, grace=1)


if __name__ == "__main__":
    gort.run(main)
