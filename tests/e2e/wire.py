# SPDX-License-Identifier: Apache-2.0
"""A wire between the daemon and the XMPP server's component port, on which a test can listen, add and take away.

What a real server would never let through can so be said to the daemon in the middle of a real
conversation. What is added comes between two stanzas of the server's.
"""

import re
import socket
import threading
from xml.etree import ElementTree
from xml.parsers import expat

from clients import until

HEAD = "<s xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>"


class Cutter:
    """Cuts a stream's bytes after its head, after each stanza, and after its end."""

    def __init__(self):
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.depth, self.pending, self.whole = 0, b"", False

    def _start(self, name, attributes):
        self.depth += 1
        self.whole = self.depth == 1

    def _end(self, name):
        self.depth -= 1
        self.whole = self.depth <= 1

    def feed(self, data):
        pieces = []
        for part in re.findall(rb"[^>]*>|[^>]+", data):
            self.pending += part
            self.parser.Parse(part, False)
            if self.whole and part.endswith(b">"):
                pieces.append(self.pending)
                self.pending, self.whole = b"", False
        return pieces


class Wire:
    """Listens on a port of its own, and is led to the server's. `close` it after the daemon has ended."""

    def __init__(self, port):
        self.server = port
        self.takes = None  # a function of a stanza's text, true for what the daemon is not to see
        self.said = []  # stanzas of the daemon's, as text
        self.connections = 0
        self.lock = threading.Lock()
        self.daemon = None  # the socket towards it
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def between(self, bridge):
        """Put it before this bridge, which is not started yet."""
        text = bridge.config.read_text()
        here = f"  port: {self.server}\n  component:"
        assert here in text
        bridge.world.write(bridge.config, text.replace(here, f"  port: {self.port}\n  component:"), 0o640)

    def inject(self, text):
        """Say this to the daemon, whatever it is. True when there is one."""
        with self.lock:
            if not self.daemon:
                return False
            self.daemon.sendall(text if isinstance(text, bytes) else text.encode())
            return True

    def heard(self, test):
        """The daemon's stanzas that pass, as Elements."""
        found = []
        for text in list(self.said):
            for element in ElementTree.fromstring(f"{HEAD}{text}</s>"):
                if test(element):
                    found.append(element)
        return found

    def wait(self, test, what="a stanza of the daemon's"):
        return until(lambda: self.heard(test), what=what)[0]

    def close(self):
        self.listener.close()

    # -- inside

    def _serve(self):
        while True:
            try:
                daemon = self.listener.accept()[0]
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.server))
            except OSError:
                daemon.close()
                continue
            with self.lock:
                self.daemon = daemon
                self.connections += 1
            threading.Thread(target=self._to_server, args=(daemon, server), daemon=True).start()
            threading.Thread(target=self._to_daemon, args=(server, daemon), daemon=True).start()

    def _to_server(self, daemon, server):
        cutter = Cutter()
        self._pump(daemon, server, lambda data: (server.sendall(data), self._note(cutter.feed(data))))

    def _note(self, pieces):
        self.said += [text for text in (piece.decode(errors="replace") for piece in pieces) if "stream:stream" not in text]

    def _to_daemon(self, server, daemon):
        cutter = Cutter()

        def pass_on(data):
            for piece in cutter.feed(data):
                if self.takes and self.takes(piece.decode(errors="replace")):
                    continue
                with self.lock:
                    daemon.sendall(piece)

        self._pump(server, daemon, pass_on)
        with self.lock:
            if self.daemon is daemon:
                self.daemon = None

    @staticmethod
    def _pump(source, sink, pass_on):
        try:
            while data := source.recv(65536):
                pass_on(data)
        except (OSError, expat.ExpatError):
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
