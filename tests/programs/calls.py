"""A fixed series of network calls, successes and failures, for comparing the syscall view with strace's.

usage: calls.py  (a line on standard input starts it)
"""

import os
import select
import socket
import struct
import sys

sys.stdin.readline()

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", 8101))
listener.listen(5)
client = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
try:
    client.connect(("127.0.0.1", 8101))
except BlockingIOError:
    pass
server, _ = listener.accept()
client.setblocking(True)
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
client.send(b"Q\0\0\0\36select 1\n")
server.recv(100)
server.sendmsg([b"first", b"second" * 4])
client.recvmsg(1000)
client.getpeername()
client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
client.shutdown(socket.SHUT_WR)
server.recv(10)
server.close()
client.close()

refused = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
refused.connect_ex(("127.0.0.1", 1))
refused.close()

six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
six.bind(("::1", 8102))
six.sendto(b"to myself", ("::1", 8102))
six.recvfrom(100)
six.close()

left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
left.send(b"unix")
right.recv(4, socket.MSG_DONTWAIT)
try:
    right.recv(4, socket.MSG_DONTWAIT)
except BlockingIOError:
    pass
path = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
path.connect_ex("/nonexistent/socket")
listener.close()
print("done", flush=True)
sys.stdin.readline()
