"""An echo server and ten clients on one epoll loop."""
import asyncio


async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
        await writer.drain()
    writer.close()


async def client(address):
    reader, writer = await asyncio.open_connection(*address)
    for k in range(10):
        writer.write(b"x%d" % k)
        await writer.drain()
        await reader.read(100)
    writer.close()


async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    await asyncio.gather(*[client(address) for _ in range(10)])
    server.close()


asyncio.run(main())
