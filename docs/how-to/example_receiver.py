"""Takes the events of Seatbridge: checks the signature, passes a repeated event by, and prints the rest.

WEBHOOK_SECRET=whsec_... python example_receiver.py 9100
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
seen: set[str] = set()  # in production: a table, written in the transaction that uses the event


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        event_id, sent = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        expected = hmac.digest(KEY, f"{event_id}.{sent}.".encode() + body, hashlib.sha256)
        signatures = [base64.b64decode(one[3:]) for one in self.headers["webhook-signature"].split()]
        genuine = any(hmac.compare_digest(expected, one) for one in signatures)
        if not genuine or abs(time.time() - int(sent)) > 300:
            self.send_error(401)
            return
        if event_id not in seen:
            seen.add(event_id)
            event = json.loads(body)
            print(event["type"], event["data"].get("user", {}).get("id"), flush=True)
        self.send_response(204)
        self.end_headers()


server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
print(f"listening at http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
