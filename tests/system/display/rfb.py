"""rfb - a small VNC client: RFB 3.8 (RFC 6143) with raw rectangles and DesktopSize."""
import select
import socket
import struct
import time

# ---- DES (FIPS 46-3), for VNC's password ---------------------------------------------------------
E = [(4 * (k // 6) + k % 6 - 1) % 32 + 1 for k in range(48)]
P = [16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13,
     30, 6, 22, 11, 4, 25]
PC1 = [57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60,
       52, 44, 36, 63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29,
       21, 13, 5, 28, 20, 12, 4]
PC2 = [14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52,
       31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32]
SHIFTS = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1]
S = ["e4d12fb83a6c5907 0f74e2d1a6cb9538 41e8d62bfc973a50 fc8249175b3ea06d",
     "f18e6b34972dc05a 3d47f28ec01a69b5 0e7ba4d158c6932f d8a13f42b67c05e9",
     "a09e63f51dc7b428 d709346a285ecbf1 d6498f30b12c5ae7 1ad069874fe3b52c",
     "7de3069a1285bc4f d8b56f03472c1ae9 a690cb7df13e5284 3f06a1d8945bc72e",
     "2c417ab6853fd0e9 eb2c47d150fa3986 421bad78f9c5630e b8c71e2d6f09a453",
     "c1af92680d34e75b af427c9561de0b38 9ef528c3704a1db6 432c95fabe17608d",
     "4b2ef08d3c975a61 d0b7491ae35c2f86 14bdc37eaf680592 6bd814a7950fe23c",
     "d2846fb1a93e50c7 1fd8a374c56b0e92 7b419ce206adf358 21e74a8dfc90356b"]


def pick(bits, table):
    return [bits[k - 1] for k in table]


def to_bits(data):
    return [b >> (7 - k) & 1 for b in data for k in range(8)]


def des(key, block):
    c = pick(to_bits(key), PC1)
    ip = [58, 50, 42, 34, 26, 18, 10, 2]
    table = [k + o for o in (0, 2, 4, 6, -1, 1, 3, 5) for k in ip]
    bits = pick(to_bits(block), table)
    left, right = bits[:32], bits[32:]
    for n in SHIFTS:
        c = c[n:28] + c[:n] + c[28 + n:] + c[28:28 + n]
        x = [a ^ b for a, b in zip(pick(right, E), pick(c, PC2))]
        out = []
        for k in range(8):
            b = x[k * 6:k * 6 + 6]
            v = int(S[k].replace(" ", "")[(b[0] * 2 + b[5]) * 16 +
                                          b[1] * 8 + b[2] * 4 + b[3] * 2 + b[4]], 16)
            out += [v >> 3 & 1, v >> 2 & 1, v >> 1 & 1, v & 1]
        left, right = right, [a ^ b for a, b in zip(left, pick(out, P))]
    bits, out = right + left, [0] * 64
    for k, t in enumerate(table):
        out[t - 1] = bits[k]
    return bytes(sum(out[k * 8 + j] << (7 - j) for j in range(8)) for k in range(8))


def answer(password, challenge):
    """VNC turns each byte of the password around."""
    key = bytes(int("{:08b}".format(b)[::-1], 2) for b in password.encode()[:8].ljust(8, b"\0"))
    return des(key, challenge[:8]) + des(key, challenge[8:])


# ---- the client ----------------------------------------------------------------------------------
class Refused(Exception):
    pass


class Client:
    def __init__(self, port, password=None, shared=True, host="127.0.0.1", sizes=True):
        self.s = socket.create_connection((host, port), timeout=60)
        try:
            self.greet(password, shared, sizes)
        except Exception:
            self.s.close()
            raise

    def greet(self, password, shared, sizes):
        version = self.take(12)
        assert version.startswith(b"RFB 003.00"), version
        self.s.sendall(b"RFB 003.008\n")
        types = self.take(self.take(1)[0])
        if not types:
            raise Refused(self.take(struct.unpack(">I", self.take(4))[0]).decode())
        kind = 2 if 2 in types else 1
        assert kind in types, types
        self.asked = kind == 2
        self.s.sendall(bytes([kind]))
        if kind == 2:
            self.s.sendall(answer(password or "", self.take(16)))
        if struct.unpack(">I", self.take(4))[0]:
            raise Refused(self.take(struct.unpack(">I", self.take(4))[0]).decode())
        self.s.sendall(bytes([shared]))
        self.width, self.height = struct.unpack(">HH", self.take(4))
        self.take(16)
        self.name = self.take(struct.unpack(">I", self.take(4))[0]).decode()
        # 32 bits, little endian, red highest: bytes B G R x
        self.s.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        self.s.sendall(struct.pack(">BxHi", 2, 1 + sizes, 0) +
                       (struct.pack(">i", -223) if sizes else b""))
        self.fb = bytearray(self.width * self.height * 4)
        self.pixels = 0  # received so far
        self.pending = False

    def take(self, n):
        data = b""
        while len(data) < n:
            part = self.s.recv(min(n - len(data), 1 << 20))
            if not part:
                raise EOFError("the server hung up")
            data += part
        return data

    def ask(self, incremental=True):
        self.s.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))
        self.pending = True

    def update(self, seconds=0.1):
        """Reads one update when there is one within this time. Asks for the next."""
        if not self.pending:
            self.ask()
        if not select.select([self.s], [], [], seconds)[0]:
            return False
        kind = self.take(1)[0]
        if kind == 0:
            for _ in range(struct.unpack(">xH", self.take(3))[0]):
                x, y, w, h, encoding = struct.unpack(">HHHHi", self.take(12))
                if encoding == -223:
                    self.width, self.height = w, h
                    self.fb = bytearray(w * h * 4)
                    continue
                assert encoding == 0, encoding
                assert x + w <= self.width and y + h <= self.height, (x, y, w, h)
                data = self.take(w * h * 4)
                self.pixels += w * h
                for k in range(h):
                    at = ((y + k) * self.width + x) * 4
                    self.fb[at:at + w * 4] = data[k * w * 4:(k + 1) * w * 4]
            self.ask()
        elif kind == 3:
            self.take(struct.unpack(">xxxI", self.take(7))[0])
        return True

    def picture(self):
        rows = []
        for y in range(self.height):
            line, row = self.fb[y * self.width * 4:(y + 1) * self.width * 4], bytearray(self.width * 3)
            for c in range(3):
                row[c::3] = line[2 - c::4]
            rows.append(bytes(row))
        return self.width, self.height, rows

    def key(self, sym, down):
        self.s.sendall(struct.pack(">BBxxI", 4, down, sym))

    def press(self, *syms):
        for sym in syms:
            self.key(sym, True)
            self.key(sym, False)

    def pointer(self, x, y, buttons=0):
        self.s.sendall(struct.pack(">BBHH", 5, buttons, x, y))

    def gone(self, seconds=30):
        """The server hangs up."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            try:
                if select.select([self.s], [], [], 0.1)[0] and not self.s.recv(65536):
                    return True
            except ConnectionError:
                return True
        return False

    def close(self):
        self.s.close()
