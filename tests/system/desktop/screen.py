"""screen - what a window's test looks at: PNG files, the X server's own pixels, expected pictures.

A picture is (width, height, rows); a row is bytes, three a pixel: red, green, blue.
"""
import os
import struct
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../roms"))
import font  # noqa: E402


def whole_png(path):
    """Whether a file that is being written has come to its end."""
    with open(path, "rb") as f:
        return f.read()[-8:-4] == b"IEND"


def read_png(path):
    with open(path, "rb") as f:
        data = f.read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", "no PNG file"
    at, body = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        chunk = data[at + 8:at + 8 + size]
        assert zlib.crc32(kind + chunk) == struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0]
        if kind == b"IHDR":
            width, height, depth, colours = struct.unpack(">IIBB", chunk[:10])
            assert (depth, colours) == (8, 2), "not 8 bits RGB"
        elif kind == b"IDAT":
            body += chunk
        at += 12 + size
    raw, rows, before = zlib.decompress(body), [], bytes(width * 3)
    for y in range(height):
        line = bytearray(raw[y * (width * 3 + 1):(y + 1) * (width * 3 + 1)])
        how, row = line[0], line[1:]
        for x in range(len(row) if how else 0):
            a, b, c = (row[x - 3] if x >= 3 else 0), before[x], (before[x - 3] if x >= 3 else 0)
            if how == 4:
                p = a + b - c
                pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
                add = a if pa <= pb and pa <= pc else b if pb <= pc else c
            else:
                add = (0, a, b, (a + b) // 2)[how]
            row[x] = (row[x] + add) & 255
        before = bytes(row)
        rows.append(before)
    return width, height, rows


def read_root(path, x, y, width, height):
    """A rectangle of the X server's screen, out of the file that Xvfb -fbdir keeps (xwd)."""
    with open(path, "rb") as f:
        data = f.read()
    head = struct.unpack(">25I", data[:100])
    assert head[11] == 32, "%d bits a pixel" % head[11]
    start, stride, little = head[0] + head[19] * 12, head[12], head[7] == 0
    rows = []
    for k in range(y, y + height):
        line = data[start + k * stride + x * 4:start + k * stride + (x + width) * 4]
        order = (2, 1, 0) if little else (1, 2, 3)
        row = bytearray(width * 3)
        for c in range(3):
            row[c::3] = line[order[c]::4]
        rows.append(bytes(row))
    return width, height, rows


# The palette of 80x25 text as firmware leaves it: attribute -> one of the EGA's 64 colours.
EGA = [0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f]


def colour(attribute):
    k, rgb = EGA[attribute], b""
    for c in range(3):
        v = (k >> (2 - c) & 1) * 42 + (k >> (5 - c) & 1) * 21
        rgb += bytes([v << 2 | v >> 4])
    return rgb


def glyphs():
    """256 characters of 16 rows, bit 7 left: our own font."""
    data = bytes(x for g in font.font() for x in (g if hasattr(g, "__len__") else [g]))
    assert len(data) == 4096
    return [data[k:k + 16] for k in range(0, 4096, 16)]


def text(cells):
    """What a monitor shows of {(column, row): (character, attribute)} in 80x25, 9x16 dots."""
    shapes, rows = glyphs(), []
    for y in range(400):
        row = b""
        for x in range(80):
            ch, attr = cells.get((x, y // 16), (" ", 7))
            bits = shapes[ord(ch)][y % 16]
            fg, bg = colour(attr & 15), colour(attr >> 4 & 7)
            row += b"".join(fg if bits >> (7 - k) & 1 else bg for k in range(8)) + bg
        rows.append(row)
    return 720, 400, rows


def times(picture, n):
    """Each pixel n by n."""
    w, h, rows = picture
    wide = [b"".join(r[k:k + 3] * n for k in range(0, len(r), 3)) for r in rows]
    return w * n, h * n, [r for r in wide for _ in range(n)]


def difference(a, b):
    """None, or where two pictures begin to differ."""
    if a[:2] != b[:2]:
        return "%dx%d, not %dx%d" % (a[0], a[1], b[0], b[1])
    for y, (p, q) in enumerate(zip(a[2], b[2])):
        if p != q:
            x = next(k for k in range(len(p)) if p[k] != q[k]) // 3
            return "(%d, %d) is %s, not %s" % (x, y, p[x * 3:x * 3 + 3].hex(), q[x * 3:x * 3 + 3].hex())
    return None
