"""Makes sockets of every kind in its network namespace, and children that hold them too.

usage: sockets.py FOLDER SCALE. Some 35 x SCALE sockets. FOLDER is for the files of Unix sockets. Prints a line of JSON
when they are there; they stay until the end of standard input.
"""

import json
import os
import socket
import sys

folder, scale = sys.argv[1], int(sys.argv[2])
keep = []
kinds = {}


def add(kind, *sockets):
    keep.extend(sockets)
    kinds[kind] = kinds.get(kind, 0) + len(sockets)


def tcp(family, host, pairs):
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind((host, 0))
    listener.listen(16)
    add("tcp", listener)
    for n in range(pairs):
        client = socket.create_connection(listener.getsockname()[:2])
        server, _ = listener.accept()
        if n % 3 == 0:
            client.sendall(b"request" * n)
        if n % 6 == 0:
            server.sendall(b"answer")
            client.recv(6, socket.MSG_WAITALL)
        if n % 10 == 0:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if n % 25 == 0:
            server.shutdown(socket.SHUT_WR)
        add("tcp", client, server)
    # Closed by the client first, which leaves it in TIME-WAIT.
    for _ in range(scale // 10):
        client = socket.create_connection(listener.getsockname()[:2])
        server, _ = listener.accept()
        client.close()
        server.recv(1)
        server.close()
    return listener.getsockname()[1]


def listeners():
    for n in range(scale // 2):
        for family, host, only in [
            (socket.AF_INET, "127.0.0.1", None),
            (socket.AF_INET, "0.0.0.0", None),
            (socket.AF_INET6, "::", 0),
            (socket.AF_INET6, "::", 1),
        ]:
            listener = socket.socket(family, socket.SOCK_STREAM)
            if only is not None:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
            if n % 2 == 0:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            listener.bind((host, 0))
            listener.listen(n)
            add("tcp", listener)
    # One that is full: one more may wait than its limit says.
    full = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    full.bind(("127.0.0.1", 0))
    full.listen(1)
    add("tcp", full, *(socket.create_connection(full.getsockname()) for _ in range(2)))
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.bind(("127.0.0.1", 0))
    # Not listed but where it is asked for.
    keep.append(bound)
    return full.getsockname()[1], bound.getsockname()[1]


def datagrams():
    for family, host in [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]:
        for n in range(scale):
            bound = socket.socket(family, socket.SOCK_DGRAM)
            bound.bind((host, 0))
            add("udp", bound)
            if n % 2 == 0:
                connected = socket.socket(family, socket.SOCK_DGRAM)
                connected.connect(bound.getsockname()[:2])
                connected.send(b"unread")
                add("udp", connected)
    for n in range(scale // 10):
        # 253 is for experiments (RFC 3692): nobody sends it.
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
        if n % 2 == 0:
            raw.connect(("127.0.0.1", 0))
        add("raw", raw, socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6))


def unix():
    for kind, name in [
        (socket.SOCK_STREAM, "unix_stream"),
        (socket.SOCK_DGRAM, "unix_dgram"),
        (socket.SOCK_SEQPACKET, "unix_seqpacket"),
    ]:
        for n in range(scale):
            a, b = socket.socketpair(socket.AF_UNIX, kind)
            if n % 4 == 0:
                a.send(b"unread")
            if n % 20 == 0:
                b.shutdown(socket.SHUT_RD)
            add(name, a, b)
        for n in range(scale // 4):
            for address in [f"{folder}/{name}{n}.sock", f"\0{folder}/{name}{n}", ""]:
                bound = socket.socket(socket.AF_UNIX, kind)
                bound.bind(address)
                add(name, bound)
                if kind == socket.SOCK_DGRAM:
                    continue
                if n % 2 == 0:
                    bound.listen(n)
                    waiting = socket.socket(socket.AF_UNIX, kind)
                    waiting.connect(bound.getsockname())
                    add(name, waiting)
            add(name, socket.socket(socket.AF_UNIX, kind))


def lower():
    for n in range(scale // 4):
        for kind, name in [(socket.SOCK_RAW, "packet_raw"), (socket.SOCK_DGRAM, "packet_dgram")]:
            # No traffic has any of these EtherTypes: local experiments, ARP, all.
            for protocol in [0x88B5, 0x0806, 0]:
                packet = socket.socket(socket.AF_PACKET, kind, socket.htons(protocol))
                if n % 2 == 0:
                    packet.bind(("lo", protocol))
                add(name, packet)
        for protocol in [socket.NETLINK_ROUTE, 15, 16]:
            netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
            if n % 2 == 0:
                netlink.bind((0, 0))
                add("netlink", netlink)
            else:
                # The kernel lists only what has a port.
                keep.append(netlink)


serves = tcp(socket.AF_INET, "127.0.0.1", 6 * scale)
tcp(socket.AF_INET6, "::1", 3 * scale)
full, bound = listeners()
datagrams()
unix()
lower()
pid = os.getpid()
for n in range(2):
    if os.fork() == 0:
        # The second holds every other one.
        if n == 1:
            for s in keep[::2]:
                s.close()
        sys.stdin.read()
        os._exit(0)
says = {"pid": pid, "sockets": sum(kinds.values()), "kinds": kinds, "serves": serves, "full": full, "bound": bound}
print(json.dumps(says), flush=True)
sys.stdin.read()
