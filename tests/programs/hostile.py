"""Whatever a process can choose that somebody else will read: its name, names of files and hosts, a request, arguments.

usage: hostile.py PORT SECRET [...]

Says {"ready": pid}; after a line on standard input it opens a file, asks a name server that doesn't exist, and speaks HTTP with
itself at 127.0.0.1:PORT; says {"done": true}, and ends when its input does.
"""

import ctypes
import json
import os
import socket
import sys
import threading

# A colour, the window's title, the bell, and C1's CSI as UTF-8.
NAME = b"\x1b[31m\x07\xc2\x9bZ\n"
PORT, SECRET = int(sys.argv[1]), sys.argv[2]

PR_SET_NAME = 15
ctypes.CDLL(None).prctl(PR_SET_NAME, NAME, 0, 0, 0)
listener = socket.create_server(("127.0.0.1", PORT))


def serve():
    while True:
        peer, _ = listener.accept()
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 200 \x1b[5mOK\r\nX: \x07\r\nContent-Length: 2\r\n\r\n\x1bc")
        peer.close()


threading.Thread(target=serve, daemon=True).start()
print(json.dumps({"ready": os.getpid()}), flush=True)
sys.stdin.readline()
try:
    open(b"/tmp/\x1b]0;title\x07\xc2\x9b2J\n")
except OSError:
    pass
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect(("127.0.0.1", 53))
for _ in range(2):
    try:
        udp.send(b"\0\1\1\0\0\1\0\0\0\0\0\0\4\x1b[2J\3\x07\n\x9b\0\0\1\0\1")
    except OSError:
        pass
client = socket.create_connection(("127.0.0.1", PORT))
client.sendall(
    b"GET /\x1b[2J\xc2\x9b\x07?token=" + SECRET.encode() + b" HTTP/1.1\r\nHost: \x1b[1m\r\n"
    b"Authorization: Bearer " + SECRET.encode() + b"\r\nCookie: id=" + SECRET.encode() + b"\r\n\r\n"
)
client.recv(65536)
client.close()
print(json.dumps({"done": True}), flush=True)
sys.stdin.read()
