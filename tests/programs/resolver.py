"""DNS with a known delay. usage: resolver.py serve DELAY_MS | client NAME PORT

The server answers every A query at 127.0.0.1:53 with 127.0.0.1, every other one with nothing, DELAY_MS after it came. The
client says how long getaddrinfo took, in nanoseconds, and asks the server that it finds there one thing.
"""

import json
import socket
import struct
import sys
import time

A = 1

if sys.argv[1] == "serve":
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 53))
    print(json.dumps({"listening": 53}), flush=True)
    while True:
        query, peer = udp.recvfrom(512)
        due = time.monotonic() + int(sys.argv[2]) / 1000
        end = query.index(b"\0", 12) + 5
        kind = struct.unpack(">H", query[end - 4 : end - 2])[0]
        answers = int(kind == A)
        reply = query[:2] + struct.pack(">HHHHH", 0x8180, 1, answers, 0, 0) + query[12:end]
        if answers:
            reply += struct.pack(">HHHIH", 0xC00C, A, 1, 60, 4) + socket.inet_aton("127.0.0.1")
        while time.monotonic() < due:
            time.sleep(max(0, due - time.monotonic()))
        udp.sendto(reply, peer)
else:
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    start = time.monotonic_ns()
    found = socket.getaddrinfo(sys.argv[2], int(sys.argv[3]), socket.AF_INET, socket.SOCK_STREAM)
    took = time.monotonic_ns() - start
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    tcp.connect(found[0][4])
    tcp.sendall(struct.pack(">II", 10, 1000) + b"q" * 10)
    missing = 1000
    while missing:
        missing -= len(tcp.recv(missing))
    tcp.close()
    print(json.dumps({"lookup_ns": took}), flush=True)
    sys.stdin.readline()
