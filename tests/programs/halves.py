"""Both ends of many connections that know each other by a number, whatever addresses are between them.

usage: halves.py serve PORT... | halves.py call | halves.py hold COUNT
Lines on standard input; each is answered by one JSON line. The caller: `open ADDRESS PORT COUNT`, `turns COUNT` on every
connection, `close`. Either: `books`, the connections by number with both addresses and turns. `hold`: so many descriptors,
among which it takes long to find a socket.
"""

import json
import os
import resource
import selectors
import socket
import struct
import sys


def say(value):
    print(json.dumps(value), flush=True)


def whole(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            return None
        data += more
    return data


def entry(sock):
    return {"local": sock.getsockname()[:2], "remote": sock.getpeername()[:2], "turns": 0}


def call():
    open_ones = {}
    books = {}
    for line in sys.stdin:
        words = line.split()
        if words[0] == "open":
            for _ in range(int(words[3])):
                number = len(books)
                sock = socket.create_connection((words[1], int(words[2])))
                open_ones[number] = sock
                books[number] = entry(sock)
        elif words[0] == "turns":
            for _ in range(int(words[1])):
                for number, sock in open_ones.items():
                    sock.sendall(struct.pack("!I", number))
                    assert whole(sock, 4) == struct.pack("!I", number)
                    books[number]["turns"] += 1
        elif words[0] == "close":
            for sock in open_ones.values():
                sock.close()
            open_ones.clear()
        say(books if words[0] == "books" else {"done": words[0]})


def serve(ports):
    books = {}
    waiting = selectors.DefaultSelector()
    waiting.register(sys.stdin, selectors.EVENT_READ)
    for port in ports:
        listener = socket.create_server(("0.0.0.0", port), backlog=1024)
        waiting.register(listener, selectors.EVENT_READ, "listener")
    say({"listening": ports})
    while True:
        for key, _ in waiting.select():
            if key.fileobj is sys.stdin:
                if not sys.stdin.readline():
                    return
                say(books)
            elif key.data == "listener":
                sock, _ = key.fileobj.accept()
                waiting.register(sock, selectors.EVENT_READ, entry(sock))
            else:
                data = whole(key.fileobj, 4)
                if data is None:
                    waiting.unregister(key.fileobj)
                    key.fileobj.close()
                    continue
                key.fileobj.sendall(data)
                key.data["turns"] += 1
                books[struct.unpack("!I", data)[0]] = key.data


def hold(count):
    each = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100
    for _ in range(each):
        os.dup(0)
    for _ in range(count // each):
        if os.fork() == 0:
            os.close(1)
            os.close(2)
            sys.stdin.read()
            return
    say({"holding": count})
    sys.stdin.read()


if sys.argv[1] == "serve":
    serve([int(port) for port in sys.argv[2:]])
elif sys.argv[1] == "hold":
    hold(int(sys.argv[2]))
else:
    call()
