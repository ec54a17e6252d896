"""TLS between two ends that measure their handshakes.

serve HOST PORT VERSION FOLDER    one connection: the handshake, then an answer of 1000 bytes to each line
client HOST PORT VERSION          waits for a line; the handshake, then two lines and their answers

VERSION is 1.2 or 1.3; FOLDER has cert.pem and key.pem. Each says what the handshake took, by its own clock.
"""

import json
import socket
import ssl
import sys
import time

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def say(**what):
    print(json.dumps(what), flush=True)


def shaken(context, version, connection, **options):
    """The connection in TLS, and the nanoseconds that this took."""
    context.minimum_version = context.maximum_version = VERSIONS[version]
    start = time.monotonic_ns()
    tls = context.wrap_socket(connection, **options)
    return tls, time.monotonic_ns() - start


def serve(host, port, version, folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    listener = socket.create_server((host, int(port)))
    say(ready=True)
    tls, took = shaken(context, version, listener.accept()[0], server_side=True)
    say(handshake_ns=took)
    while tls.recv(100):
        tls.send(b"a" * 1000)


def client(host, port, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    say(ready=True)
    sys.stdin.readline()
    tls, took = shaken(context, version, socket.create_connection((host, int(port))))
    say(handshake_ns=took)
    for _ in range(2):
        tls.send(b"a line\n")
        left = 1000
        while left:
            left -= len(tls.recv(left))
    tls.close()


what, *words = sys.argv[1:]
globals()[what](*words)
sys.stdin.read()
