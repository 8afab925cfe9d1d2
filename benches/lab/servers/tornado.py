"""Tornado's part of the lab: serves on the inherited socket whose number is the first argument."""

import socket
import sys

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler, StaticFileHandler


class Hello(RequestHandler):
    def get(self):
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write("Hello, World!")


class Echo(RequestHandler):
    def post(self):
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write(self.request.body)


application = Application(
    [
        ("/", Hello),
        ("/echo", Echo),
        (f"/({sys.argv[2]})", StaticFileHandler, {"path": "."}),
    ]
)
listener = socket.socket(fileno=int(sys.argv[1]))
listener.setblocking(False)
HTTPServer(application).add_sockets([listener])
IOLoop.current().start()
