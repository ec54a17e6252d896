"""Sends datagrams one by one, unanswered ones included. usage: flood.py HOST PORT COUNT"""

import json
import socket
import sys

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print(json.dumps({"ready": True}), flush=True)
sys.stdin.readline()
udp.connect((host, port))
for n in range(count):
    udp.send(b"d%d" % n)
print(json.dumps({"sent": count}), flush=True)
sys.stdin.readline()
