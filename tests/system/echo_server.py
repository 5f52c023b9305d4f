"""echo_server.py PORT: accepts on every address; each connection is closed once its client has closed."""

import selectors
import socket
import sys

listener = socket.create_server(("0.0.0.0", int(sys.argv[1])), backlog=1024)
events = selectors.DefaultSelector()
events.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in events.select():
        if key.fileobj is listener:
            connection, _ = listener.accept()
            events.register(connection, selectors.EVENT_READ)
        elif not key.fileobj.recv(4096):
            events.unregister(key.fileobj)
            key.fileobj.close()
