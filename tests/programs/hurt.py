"""Traffic that is to be dropped. Each says what it is ready for, waits for a line, does it, says what it did, and
keeps its sockets until its input ends.

sink HOST PORT BUFFER            a UDP socket that nobody reads
flood HOST PORT COUNT SIZE TTL FROM   datagrams; TTL 0 and FROM - leave it to the kernel
knock HOST PORT COUNT            connections to a port, one after the other, each expected to be refused
full HOST PORT BACKLOG           a listener that accepts nobody for two seconds, then everybody
crowd HOST PORT COUNT            connections all at once
echo HOST PORT                   a server of one connection
scatter HOST PORT COUNT          datagrams of eight flows, nearly all of the last one
stale HOST PORT COUNT DEVICE WHAT   one exchange with `echo`, then copies of its request with an old timestamp (WHAT
                                 paws) or a wrong checksum (checksum), past the connection's socket
"""

import json
import socket
import struct
import sys
import time


def say(**what):
    print(json.dumps(what), flush=True)


def sum16(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def spoilt(frame, what):
    """The frame of a TCP segment with what is wrong with it."""
    ip = 14
    tcp = ip + (frame[ip] & 15) * 4
    end = ip + struct.unpack_from("!H", frame, ip + 2)[0]
    data = bytearray(frame[:end])
    if what == "paws":
        at = tcp + 20
        while data[at] != 8:
            at += 1 if data[at] == 1 else data[at + 1]
        struct.pack_into("!I", data, at + 2, (struct.unpack_from("!I", data, at + 2)[0] - 1_000_000) & 0xFFFFFFFF)
    struct.pack_into("!H", data, tcp + 16, 0)
    pseudo = bytes(data[ip + 12 : ip + 20]) + struct.pack("!BBH", 0, 6, end - tcp)
    check = ~sum16(pseudo + bytes(data[tcp:end])) & 0xFFFF
    struct.pack_into("!H", data, tcp + 16, check ^ 0x5555 if what == "checksum" else check)
    return bytes(data)


def stale(host, port, count, device, what):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    raw.bind((device, 0x0800))
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    tap.bind((device, 3))
    tap.settimeout(5)
    say(ready=True)
    sys.stdin.readline()
    s = socket.create_connection((host, port))
    s.send(b"request " * 8)
    s.recv(100)
    while True:
        frame, (_, _, kind, *_) = tap.recvfrom(65536)
        if kind == socket.PACKET_OUTGOING and frame.endswith(b"request "):
            break
    frame = spoilt(frame, what)
    for _ in range(count):
        raw.send(frame)
        time.sleep(0.0005)
    # One more exchange shows that the connection lives.
    s.send(b"request " * 8)
    s.recv(100)
    say(done=count, port=s.getsockname()[1])
    return [s]


def flood(host, port, count, size, ttl, source):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if ttl:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    if source != "-":
        s.bind((source, 0))
    s.connect((host, port))
    say(ready=True)
    sys.stdin.readline()
    sent = 0
    for n in range(count):
        try:
            s.send(b"d" * size)
            sent += 1
        except OSError:
            # What an ICMP error said of an earlier one, or no room.
            pass
        if n % 10 == 9:
            time.sleep(0.001)
    say(done=sent, port=s.getsockname()[1])
    return [s]


def scatter(host, port, count):
    say(ready=True)
    sys.stdin.readline()
    # Flows that are tracked, then one that finds no room, sending from a port of its own.
    holders = []
    for _ in range(8):
        h = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        h.connect((host, port))
        h.send(b"h")
        holders.append(h)
    for n in range(count):
        holders[-1].send(b"x" * 100)
        if n % 10 == 9:
            time.sleep(0.001)
    say(done=count)
    return holders


def sink(host, port, size):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    s.bind((host, port))
    say(ready=True)
    return [s]


def knock(host, port, count):
    say(ready=True)
    sys.stdin.readline()
    refused = 0
    for _ in range(count):
        try:
            socket.create_connection((host, port)).close()
        except ConnectionRefusedError:
            refused += 1
    say(done=refused)
    return []


def full(host, port, backlog):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(backlog)
    say(ready=True)
    sys.stdin.readline()
    time.sleep(2)
    listener.settimeout(6)
    accepted = []
    try:
        while True:
            accepted.append(listener.accept()[0])
    except TimeoutError:
        pass
    say(done=len(accepted))
    return accepted


def crowd(host, port, count):
    say(ready=True)
    sys.stdin.readline()
    all_of_them = []
    for _ in range(count):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex((host, port))
        all_of_them.append(s)
    time.sleep(5)
    connected = sum(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 for s in all_of_them)
    say(done=connected)
    return all_of_them


def echo(host, port):
    listener = socket.create_server((host, port))
    say(ready=True)
    s = listener.accept()[0]
    while data := s.recv(1000):
        s.send(data)
    return [s]


what, *words = sys.argv[1:]
kept = globals()[what](*(int(w) if w.isdigit() else w for w in words))
sys.stdin.read()
