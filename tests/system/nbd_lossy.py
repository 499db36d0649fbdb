"""nbd_lossy - an NBD server that is a disk with a write cache, and whose power can be cut.

What was written since the last flush that was answered is held back; cut() keeps a random part of
it, sector by sector, as a disk's cache does when the power fails, and writes the image. A guest's
file system outlives that only if every flush it asks for arrives here. One connection; no options
but the plain way in (the protocol's doc/proto.md: fixed newstyle, simple replies).
"""
import socket
import struct
import threading

SECTOR = 512
OPTION_MAGIC, REPLY_MAGIC = 0x49484156454F5054, 0x3E889045565A9
REQUEST, REPLY = 0x25609513, 0x67446698
GO, ABORT = 7, 2
ACK, INFO, UNSUPPORTED = 1, 3, 0x80000001
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
EINVAL = 22
HAS_FLAGS, CAN_FLUSH = 1, 4


class Lossy:
    """The disk `image`, served at the unix socket `path` until cut() or close()."""

    def __init__(self, image, path):
        self.image = image
        with open(image, "rb") as f:
            self.durable = bytearray(f.read())
        self.now = bytearray(self.durable)
        self.cached = []  # (offset, data) in their order
        self.flushes = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def cut(self, chance):
        """Once the client is gone: chance (a random.Random) says what of the cache survives. The
        number of sectors that did not."""
        self.thread.join(300)
        lost = 0
        for offset, data in self.cached:
            for k in range(0, len(data), SECTOR):
                if chance.random() < 0.5:
                    self.durable[offset + k:offset + k + SECTOR] = data[k:k + SECTOR]
                else:
                    lost += 1
        with open(self.image, "r+b") as f:
            f.write(self.durable)
        return lost

    def close(self):
        self.listener.close()

    def _take(self, size):
        data = self.client.recv(size, socket.MSG_WAITALL)
        if len(data) != size:
            raise EOFError
        return data

    def _serve(self):
        self.client, _ = self.listener.accept()
        try:
            if self._negotiate():
                while self._request():
                    pass
        except (EOFError, OSError):
            pass
        self.client.close()

    def _option_reply(self, option, kind, data=b""):
        self.client.sendall(struct.pack(">QIII", REPLY_MAGIC, option, kind, len(data)) + data)

    def _negotiate(self):
        self.client.sendall(b"NBDMAGIC" + struct.pack(">QH", OPTION_MAGIC, 3))
        self._take(4)
        while True:
            _, option, size = struct.unpack(">QII", self._take(16))
            if size:
                self._take(size)
            if option == GO:
                self._option_reply(option, INFO, struct.pack(">HQH", 0, len(self.now), HAS_FLAGS |
                                                             CAN_FLUSH))
                self._option_reply(option, ACK)
                return True
            if option == ABORT:
                self._option_reply(option, ACK)
                return False
            self._option_reply(option, UNSUPPORTED)

    def _request(self):
        magic, _, kind, cookie, offset, size = struct.unpack(">IHHQQI", self._take(28))
        error, back = 0, b""
        data = self._take(size) if kind == WRITE and size else b""
        if magic != REQUEST or kind == DISCONNECT:
            return False
        if kind in (READ, WRITE) and offset + size > len(self.now):
            error = EINVAL
        elif kind == READ:
            back = bytes(self.now[offset:offset + size])
        elif kind == WRITE:
            self.now[offset:offset + size] = data
            self.cached.append((offset, data))
        elif kind == FLUSH:
            self.flushes += 1
            for at, data in self.cached:
                self.durable[at:at + len(data)] = data
            self.cached = []
        else:
            error = EINVAL
        self.client.sendall(struct.pack(">IIQ", REPLY, error, cookie) + back)
        return True
