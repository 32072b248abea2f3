"""A server whose answers wait for something to happen: an event stream, and a long poll.

It says the next thing only when it was told that the one before was seen, so nothing on the way may hold anything back.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PATIENCE = 60
PAGE = b"""<!doctype html><title>waiting</title><script>
const heard = [];
const stream = new EventSource('/events');
stream.onmessage = event => {
  heard.push(event.lastEventId + ' ' + event.data);
  document.title = heard.join(', ');
  fetch('/seen?number=' + event.lastEventId, {method: 'POST'});
};
</script>"""


class Live(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]
        self.news = threading.Condition()
        self.seen = set()
        self.waiting = 0
        self.released = False

    def happens(self, change):
        with self.news:
            change()
            self.news.notify_all()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        kind = {"/": self.page, "/events": self.events, "/poll": self.poll}
        kind[urlsplit(self.path).path]()

    def do_POST(self):
        number = int(parse_qs(urlsplit(self.path).query)["number"][0])
        self.server.happens(lambda: self.server.seen.add(number))
        self.answer(204)

    def page(self):
        self.answer(200, PAGE)

    def events(self):
        """Three events, and the end; who comes again with the last one's id gets the three that follow."""
        last = int(self.headers.get("Last-Event-ID", 0))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.chunk(b"retry: 10\n\n")
        for number in range(last + 1, last + 4):
            self.chunk(b"id: %d\ndata: news\n\n" % number)
            with self.server.news:
                if not self.server.news.wait_for(lambda: number in self.server.seen, PATIENCE):
                    return self.connection.close()
        self.wfile.write(b"0\r\n\r\n")

    def poll(self):
        server = self.server
        server.happens(lambda: setattr(server, "waiting", server.waiting + 1))
        with server.news:
            released = server.news.wait_for(lambda: server.released, PATIENCE)
        self.answer(200 if released else 500, b"at last")

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def answer(self, status, body=b""):
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
