"""modes - what the picture guest (roms/modes/main.c) draws in each mode, as a monitor shows it.

A picture is as in screen.py: (width, height, rows of three bytes a pixel).
"""


def dac(k):
    return bytes(v << 2 | v >> 4 for v in (k >> 2, (255 - k) >> 2, (k * 3 & 255) >> 2))


COLOUR = [dac(k) for k in range(256)]


def planar():
    """640x480 in 16 colours: bars, a diagonal, stripes, and the top once more at the bottom."""
    bars = [x // 40 for x in range(640)]
    rows = []
    for y in range(400):
        line = list(bars)
        line[y] = 15
        rows.append(line)
    rows += [[3 if x & 1 else 12 for x in range(640)]] * 40
    rows += rows[:40]
    return 640, 480, [b"".join(COLOUR[c << 2] for c in line) for line in rows]


def doubled(height, index):
    """320 dots in 256 colours: each two by two."""
    rows = []
    for y in range(height):
        line = b"".join(COLOUR[index(x, y) & 255] * 2 for x in range(320))
        rows += [line, line]
    return 640, height * 2, rows


def true_colour(width, height):
    return width, height, [bytes(v & 255 for x in range(width) for v in (x, y, x + y))
                           for y in range(height)]


PICTURES = [
    ("16 colours in planes", planar),
    ("13h", lambda: doubled(200, lambda x, y: x + y)),
    ("mode X", lambda: doubled(240, lambda x, y: x ^ y)),
    ("24 bits", lambda: true_colour(800, 600)),
    ("32 bits", lambda: true_colour(1024, 768)),
]
