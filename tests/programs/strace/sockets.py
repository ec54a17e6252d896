"""Sockets of every common family: options, messages with descriptors and credentials, readiness, failures."""
import os
import select
import socket
import struct

server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", 0))
server.listen()
client = socket.create_connection(server.getsockname())
accepted, _ = server.accept()
client.sendall(b"x" * 300)
accepted.recv(3)
accepted.settimeout(1)
accepted.recv(1000)
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 2))
client.shutdown(socket.SHUT_WR)
accepted.recv(10)
client.close()
accepted.close()

left, right = socket.socketpair()
socket.send_fds(left, [b"hello"], [0, 1])
socket.recv_fds(right, 100, 4)
left.sendmsg([b"abc", b"defg"])
right.recvmsg(100, 100)
bound = socket.socket(socket.AF_UNIX)
bound.bind("socket")
bound.listen(1)
one = socket.socket(socket.AF_UNIX)
one.connect("socket")
other, _ = bound.accept()
other.send(b"1")
one.recv(5)
for s in (other, one, bound):
    s.close()
os.unlink("socket")

a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
a.bind(("127.0.0.1", 0))
a.setsockopt(socket.IPPROTO_IP, 8, 1)
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
b.sendto(b"hi", a.getsockname())
a.recvmsg(100, 200)
six = socket.socket(socket.AF_INET6)
six.bind(("::1", 0))
six.listen()
socket.create_connection(six.getsockname()[:2]).close()

epoll = select.epoll()
r, w = os.pipe()
epoll.register(r, select.EPOLLIN | select.EPOLLET)
os.write(w, b"1")
epoll.poll(1)
epoll.modify(r, select.EPOLLOUT)
epoll.unregister(r)
select.select([r], [w], [], 0.5)
select.select([], [], [], 0.01)
poll = select.poll()
poll.register(r, select.POLLIN)
poll.register(w, select.POLLOUT)
poll.poll(100)
try:
    socket.create_connection(("127.0.0.1", 1))
except OSError:
    pass
z = socket.socket()
z.setblocking(False)
try:
    z.connect(server.getsockname())
except BlockingIOError:
    pass
select.select([], [z], [], 1)
