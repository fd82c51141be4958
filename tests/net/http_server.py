# SPDX-License-Identifier: GPL-2.0-or-later
"""A small threaded HTTP/1.1 server with keep-alive.

    http_server.py ADDRESS PORT TEXT [nagle] [stay]

GET answers TEXT and a newline; PUT and POST answer the SHA-256 of the body. Ends with
the process that started it, unless told to stay.
"""
import ctypes
import hashlib
import http.server
import signal
import socket
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = "nagle" not in sys.argv[4:]

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer((sys.argv[3] + "\n").encode())

    def do_PUT(self):
        digest = hashlib.sha256()
        left = int(self.headers["Content-Length"])
        while left:
            part = self.rfile.read(min(left, 65536))
            if not part:
                return
            digest.update(part)
            left -= len(part)
        self.answer((digest.hexdigest() + "\n").encode())

    do_POST = do_PUT

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64

    def __init__(self, address):
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, Handler)

    def server_bind(self):
        # HTTPServer's own would look up the name of the address.
        http.server.socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "test", self.server_address[1]


PR_SET_PDEATHSIG = 1
if "stay" not in sys.argv[4:]:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
Server((sys.argv[1], int(sys.argv[2]))).serve_forever()
