import gort

table: dict[str, int] = {}


def config() -> None:
    table["size"] = 1000


@gort.init(after=config)
async def warm() -> None:
    ready = gort.chan()
    gort.go(fill, ready)
    await ready.recv()


async def fill(ready: gort.Chan) -> None:
    for i in range(table["size"]):
        table[f"key {i}"] = i
    await gort.sleep(0.012)
    await ready.send(None)


gort.init(config)


async def main() -> None:
    gort.at_exit(print, "bye")
    print(len(table), "entries")
