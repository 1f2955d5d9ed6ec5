"""What the outside has: a server of TCP and UDP at port 8000, and one of names."""
import hashlib
import socket
import socketserver
import struct
import sys
import threading


class Stream(socketserver.StreamRequestHandler):
    rbufsize = 0

    def handle(self):
        word, _, rest = self.rfile.readline().decode().strip().partition(" ")
        if word == "get":
            block = bytes(range(251)) * 4096
            left = int(rest)
            while left:
                left -= self.connection.send(block[:left])
        elif word == "put":
            digest = hashlib.sha256()
            while data := self.connection.recv(1 << 20):
                digest.update(data)
            self.wfile.write(digest.hexdigest().encode())
        elif word == "echo":
            while data := self.rfile.readline():
                self.wfile.write(data)
        elif word == "peer":
            self.wfile.write(self.client_address[0].encode())


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024


def datagrams():
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind(("::", 8000))
    while True:
        data, sender = sock.recvfrom(65536)
        sock.sendto(data, sender)


def names():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("198.51.100.2", 53))
    while True:
        data, sender = sock.recvfrom(4096)
        end = data.index(0, 12) + 5
        kind = struct.unpack("!H", data[end - 4 : end - 2])[0]
        answers = 1 if kind == 1 else 0
        reply = data[:2] + struct.pack("!HHHHH", 0x8180, 1, answers, 0, 0) + data[12:end]
        if answers:
            reply += struct.pack("!HHHIH4B", 0xC00C, 1, 1, 60, 4, 198, 51, 100, 2)
        sock.sendto(reply, sender)


for work in datagrams, names:
    threading.Thread(target=work, daemon=True).start()
server = Server(("::", 8000), Stream)
print("ready", flush=True)
server.serve_forever()
