"""Servers that clients connect to, each in a forked process that the runner ends.

hold   keeps what it accepts, drains it, and closes when the client has closed: the client has the TIME-WAIT
echo   the same, and sends back what it gets
close  closes what it accepts at once: the server has the TIME-WAIT
http   HTTP/1.1 with keep-alive; answers every request with a short page
never  answers what it gets with a short page, and never closes: the client that closes first is left in FIN-WAIT-2
seldom the same for every fourth connection; it closes the others
"""

import http.server
import os
import selectors
import socket


never_closed = []


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, *_):
        pass


class Http(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass


def loop(listener, kind):
    selector = selectors.DefaultSelector()
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                accept(selector, listener, kind)
            else:
                serve(selector, key.fileobj, kind)


def accept(selector, listener, kind):
    for _ in range(64):
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        if kind == "close":
            connection.close()
        else:
            selector.register(connection, selectors.EVENT_READ)


def serve(selector, connection, kind):
    try:
        data = connection.recv(65536)
        if kind == "echo" and data:
            connection.sendall(data)
        if kind in ("never", "seldom") and data:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")
    except OSError:
        data = b""
    if not data:
        selector.unregister(connection)
        if kind == "never" or kind == "seldom" and connection.getpeername()[1] % 4 == 0:
            never_closed.append(connection)
        else:
            connection.close()


def start(address, kind, port):
    """Starts a server of that kind and returns its port. address "": every address of both families."""
    if address == "":
        listener = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096)
    else:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(4096)
    port = listener.getsockname()[1]
    if os.fork() == 0:
        try:
            os.closerange(3, listener.fileno())
            os.closerange(listener.fileno() + 1, 1024)
            if kind == "http":
                server = Http(listener.getsockname()[:2], Page, bind_and_activate=False)
                server.socket = listener
                server.serve_forever()
            else:
                loop(listener, kind)
        finally:
            os._exit(1)
    listener.close()
    return port
