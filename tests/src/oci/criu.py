#!/usr/bin/env python3
"""Speaks criu's RPC as its rpc.proto and its manual page say, and dumps nothing.

It notes what it is asked for beside the images, ends the process that it is to dump, and
fails where the folder of images has a file `fail`.
"""
import json
import os
import signal
import socket
import sys

VERSION, FEATURES, NOTIFY, RESTORE, DUMP, PRE_DUMP = 10, 9, 6, 2, 1, 13


def number(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    found, at = {}, 0
    while at < len(data):
        tag, at = number(data, at)
        if tag & 7 == 0:
            value, at = number(data, at)
        elif tag & 7 == 2:
            length, at = number(data, at)
            value, at = data[at:at + length], at + length
        else:
            sys.exit(f"field {tag >> 3}: kind {tag & 7}")
        found.setdefault(tag >> 3, []).append(value)
    return found


def notify(stage):
    name = stage.encode()
    inner = b"\n" + bytes([len(name)]) + name
    sock.send(b"\x08\x06\x10\x01*" + bytes([len(inner)]) + inner)
    answer = fields(sock.recv(65536))
    return answer == {1: [NOTIFY], 3: [1]}


def pairs(values):
    return [[part.decode() for _, (part,) in sorted(fields(one).items())] for one in values]


def work(kind, opts):
    folder = f"/proc/{os.getppid()}/fd/{opts[1][0]}"
    asked = {
        "kind": kind,
        "pid": opts.get(2, [0])[0],
        "flags": sorted(key for key in opts if opts[key] == [1]),
        "root": opts[13][0].decode(),
        "mounts": pairs(opts.get(23, [])),
        "external": [one.decode() for one in opts.get(37, [])],
        "empty": opts.get(38, [0])[0],
        "freezer": opts.get(44, [b""])[0].decode(),
        "parent": opts.get(14, [b""])[0].decode(),
        "mode": opts[34][0],
    }
    with open(folder + "/asked.json", "w", encoding="utf-8") as file:
        json.dump(asked, file)
    heeded = notify("pre-restore" if kind == RESTORE else "pre-dump")
    if os.path.exists(folder + "/fail") or not heeded:
        name = "restore.log" if kind == RESTORE else "dump.log"
        with open(f"/proc/{os.getppid()}/fd/{opts[17][0]}/{name}", "w", encoding="utf-8") as log:
            log.write("(00.1) Error (here.c:7): the reason\n(00.2) Error (here.c:8): so\n")
        return False
    if kind == DUMP and 3 not in opts:
        os.kill(opts[2][0], signal.SIGKILL)
    return True


sock = socket.socket(fileno=int(sys.argv[2]))
while True:
    message = sock.recv(65536)
    if not message:
        break
    request = fields(message)
    kind = request[1][0]
    if kind == VERSION:
        sock.send(b"\x08\x0a\x10\x01R\x04\x08\x04\x10\x01")
    elif kind == FEATURES:
        sock.send(b"\x08\x09\x10\x01B\x02\x08\x00")
    else:
        done = work(kind, fields(request[2][0]))
        sock.send(bytes([8, kind, 16, int(done), 0x38, 0 if done else 22]))
        break
