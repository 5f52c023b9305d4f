"""HTTP servers whose ends of a connection go on after the client's close, in ways of their own. aftermath_servers.py KIND ADDRESS
prints its port and serves until killed.

  keep     keeps the connection, and closes when the client has
  late     sends a second piece that no client waits for, 5 ms after the page
  reset    resets the connection 5 ms after the page
  stay     never closes before the client has, and then only after 300 ms
  shut     sends a FIN with the page, and closes 5 ms later
"""

import socket
import struct
import sys
import threading
import time

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n"


def reset(c):
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def requests(c, kind):
    """Answers until the client closes, or this kind of server has had enough."""
    while c.recv(65536):
        c.sendall(PAGE)
        if kind in ("late", "reset", "shut"):
            if kind == "shut":
                c.shutdown(socket.SHUT_WR)
            time.sleep(0.005)
            if kind == "late":
                c.sendall(PAGE)
            if kind == "reset":
                reset(c)
            return
    if kind == "stay":
        time.sleep(0.3)


def serve(c, kind):
    try:
        requests(c, kind)
    except OSError:
        pass
    c.close()


def main():
    kind, address = sys.argv[1:3]
    listener = socket.create_server((address, 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], kind), daemon=True).start()


main()
