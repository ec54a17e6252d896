"""A program of several processes: forked workers, sockets that change hands.

usage: workers.py HOST PORT BEFORE AFTER TURNS SEED BOOKS

Opens BEFORE connections from itself and two forked workers and says {"ready": ...}. After a line on standard input
it uses them on, forks two more workers, opens AFTER connections more, and hands two of these over: one to a forked
child, one over a UNIX socket to a worker that exists. The process that used a connection last writes it into the
file BOOKS, one JSON object a line. {"done": ...} ends it; it waits for the end of standard input, then exits.
"""

import json
import os
import random
import socket
import struct
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])
BEFORE, AFTER, TURNS, SEED = map(int, sys.argv[3:7])
BOOKS = sys.argv[7]


class Connection:
    def __init__(self, before):
        self.socket = socket.create_connection((HOST, PORT))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.before = before
        self.sent = self.received = self.turns = 0

    def use(self, turns):
        for _ in range(turns):
            request, response = random.randint(1, 2000), random.randint(1, 20000)
            self.socket.sendall(struct.pack(">II", request, response) + b"q" * request)
            self.sent += 8 + request
            missing = response
            while missing:
                data = self.socket.recv(missing)
                if not data:
                    raise SystemExit("the server closed a connection")
                missing -= len(data)
            self.received += response
            self.turns += 1

    def close(self):
        host, port = self.socket.getsockname()[:2]
        line = json.dumps({"pid": os.getpid(), "local": f"{host}:{port}", "before": self.before,
                           "sent": self.sent, "received": self.received, "turns": self.turns})
        self.socket.close()
        with open(BOOKS, "ab", buffering=0) as books:
            books.write(line.encode() + b"\n")


def fork(work):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            random.seed(f"{SEED}-{os.getpid()}")
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def open_and_use(count):
    connections = [Connection(before=False) for _ in range(count)]
    for connection in connections:
        connection.use(TURNS)
    return connections


def old_worker(count, channel, after):
    """A worker from before the attach; channel tells it when to go on, and may bring a socket."""
    mine = [Connection(before=True) for _ in range(count)]
    for connection in mine:
        connection.use(1)
    channel.sendall(b"r")
    # The descriptor comes with the word to go on, so that it cannot be lost between two reads.
    message, descriptors, _, _ = socket.recv_fds(channel, 4096, 1)
    if descriptors:
        handed = object.__new__(Connection)
        handed.__dict__.update(json.loads(message))
        handed.socket = socket.socket(fileno=descriptors[0])
        mine.append(handed)
    for connection in mine:
        connection.use(TURNS)
    for connection in mine + open_and_use(after):
        connection.close()


def new_worker(count):
    for connection in open_and_use(count):
        connection.close()


def main():
    random.seed(f"{SEED}-{os.getpid()}")
    per_worker = BEFORE // 3
    share = (AFTER - 2) // 5
    children, channels = [], []
    for _ in range(2):
        ours, theirs = socket.socketpair()
        children.append(fork(lambda: old_worker(per_worker, theirs, share)))
        theirs.close()
        channels.append(ours)
    mine = [Connection(before=True) for _ in range(BEFORE - 2 * per_worker)]
    for connection in mine:
        connection.use(1)
    for channel in channels:
        assert channel.recv(1) == b"r"
    print(json.dumps({"ready": [os.getpid()] + children}), flush=True)
    sys.stdin.readline()

    given = Connection(before=False)
    given.use(1)
    totals = {name: value for name, value in given.__dict__.items() if name != "socket"}
    socket.send_fds(channels[0], [json.dumps(totals).encode()], [given.socket.fileno()])
    given.socket.close()
    channels[1].sendall(b"go")

    inherited = Connection(before=False)
    inherited.use(1)

    def child():
        inherited.use(TURNS)
        inherited.close()

    children.append(fork(child))
    inherited.socket.close()

    children += [fork(lambda: new_worker(share)) for _ in range(2)]
    for connection in mine:
        connection.use(TURNS)
    for connection in mine + open_and_use(AFTER - 2 - 4 * share):
        connection.close()
    for pid in children:
        _, status = os.waitpid(pid, 0)
        if status:
            raise SystemExit(f"worker {pid} failed: {status}")
    print(json.dumps({"done": children}), flush=True)
    sys.stdin.read()


main()
