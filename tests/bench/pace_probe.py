"""Policy requests one after the other, from a process of its own: the one that brings the
load is late itself when it has much to do. Prints for each when it began and how long it took.
"""
import os
import socket
import sys
import time

POLICY = b"GET /SMS_MP/.sms_pol?ABC00001 HTTP/1.1\r\nHost: mp\r\nConnection: close\r\n\r\n"
FAILED_S = 30.0


def ask(port):
    start = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), FAILED_S) as s:
            s.settimeout(FAILED_S)
            s.sendall(POLICY)
            good = s.recv(65536).startswith(b"HTTP/1.1 200")
    except OSError:
        good = False
    return start, time.monotonic() - start if good else FAILED_S


def main():
    port, every = int(sys.argv[1]), float(sys.argv[2])
    try:
        os.nice(-5)  # what measures must not wait for a turn
    except OSError:
        pass
    while True:
        start, took = ask(port)
        print("%.6f %.6f" % (start, took), flush=True)
        time.sleep(max(0.0, every - (time.monotonic() - start)))


if __name__ == "__main__":
    main()
