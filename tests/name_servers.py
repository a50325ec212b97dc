"""A name server on this machine that answers what a test says."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.message
import dns.rcode
import dns.resolver
import dns.rrset


@contextmanager
def name_server(records: dict[str, list[str]]) -> Iterator[dns.resolver.Resolver]:
    """Answer questions for TXT records on 127.0.0.1; what is not there does not exist."""

    class Answering(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            packet, connection = self.request
            question = dns.message.from_wire(packet)
            answer = dns.message.make_response(question)
            name = question.question[0].name
            if str(name) in records:
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *records[str(name)]))
            else:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            connection.sendto(answer.to_wire(), self.client_address)

    with socketserver.UDPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = server.server_address[1]
        yield resolver
        server.shutdown()
        thread.join()
