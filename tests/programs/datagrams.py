"""UDP with exact books. usage: datagrams.py serve HOST PORT | client HOST PORT COUNT

The server answers every datagram with its reverse; the client sends COUNT from one connected socket, of 1 to 1,400 bytes in turn.
"""

import json
import socket
import sys

role, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
udp = socket.socket(family, socket.SOCK_DGRAM)

if role == "serve":
    udp.bind((host, port))
    print(json.dumps({"listening": port}), flush=True)
    while True:
        data, peer = udp.recvfrom(65536)
        udp.sendto(data[::-1], peer)
else:
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    udp.connect((host, port))
    udp.settimeout(60)
    sent = received = 0
    for n in range(int(sys.argv[4])):
        sent += udp.send(b"d" * (n % 1400 + 1))
        received += len(udp.recv(65536))
    local = udp.getsockname()[:2]
    print(json.dumps({"port": local[1], "sent": sent, "received": received}), flush=True)
    sys.stdin.readline()
