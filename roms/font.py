#!/usr/bin/env python3
"""font - draws our 8x16 text font from strokes; writes 256 glyphs of 16 bytes (VGA plane 2 order).

Each character is a few polylines on a grid of 5 columns and 9 rows: row 0 is the cap line, 2 the
x-height, 6 the base line, 8 the descender. A pair of digits is a point (column, row), a comma
lifts the pen. Characters that are not listed stay blank. Drawn for this project.

  font.py OUT.bin        font.py --c OUT.h [NAME]        font.py --show TEXT
"""
import sys

COLUMN = [0.0, 1.5, 3.0, 4.5, 6.0]  # left edge, in pixels, of a pen two pixels wide
TOP, ROW = 2.0, 1.5                 # pixel row of grid row 0, pixels a grid row

STROKES = {
    "!": "20 24, 26 26", '"': "10 12, 30 32", "#": "10 16, 30 36, 02 42, 04 44",
    "$": "41 30 10 01 02 13 33 44 45 36 16 05, 20 26", "%": "01 01, 40 06, 45 45",
    "&": "46 11 20 31 04 05 16 26 43", "'": "20 22", "(": "30 12 14 36", ")": "10 32 34 16",
    "*": "11 35, 31 15, 03 43", "+": "21 25, 03 43", ",": "25 26 17", "-": "03 43", ".": "26 26",
    "/": "40 06", "0": "10 30 41 45 36 16 05 01 10, 24 22", "1": "11 20 26, 16 36",
    "2": "01 10 30 41 42 06 46", "3": "01 10 30 41 42 33 23, 33 44 45 36 16 05", "4": "36 30 04 44",
    "5": "40 00 02 32 43 45 36 06", "6": "30 10 01 05 16 36 45 43 32 02", "7": "00 40 41 16",
    "8": "10 30 41 42 33 13 02 01 10, 13 04 05 16 36 45 44 33", "9": "16 36 45 41 30 10 01 03 14 44",
    ":": "22 22, 25 25", ";": "22 22, 25 26 17", "<": "40 03 46", "=": "02 42, 04 44",
    ">": "00 43 06", "?": "01 10 30 41 42 23 24, 26 26", "@": "33 23 24 34 32 11 01 05 16 46, 31 42 43 34",
    "A": "06 02 20 42 46, 04 44", "B": "00 06 36 45 44 33 03, 33 42 41 30 00",
    "C": "41 30 10 01 05 16 36 45", "D": "00 06 26 44 42 20 00", "E": "40 00 06 46, 03 33",
    "F": "40 00 06, 03 33", "G": "41 30 10 01 05 16 36 45 43 23", "H": "00 06, 40 46, 03 43",
    "I": "10 30, 20 26, 16 36", "J": "20 40, 30 35 26 16 05", "K": "00 06, 40 03 46", "L": "00 06 46",
    "M": "06 00 23 40 46", "N": "06 00 46 40", "O": "10 30 41 45 36 16 05 01 10",
    "P": "06 00 30 41 42 33 03", "Q": "10 30 41 45 36 16 05 01 10, 24 47",
    "R": "06 00 30 41 42 33 03, 23 46", "S": "41 30 10 01 02 13 33 44 45 36 16 05",
    "T": "00 40, 20 26", "U": "00 05 16 36 45 40", "V": "00 02 26 42 40", "W": "00 06 23 46 40",
    "X": "00 46, 40 06", "Y": "00 23 40, 23 26", "Z": "00 40 06 46", "[": "30 10 16 36",
    "\\": "00 46", "]": "10 30 36 16", "^": "02 20 42", "_": "07 47", "`": "10 21",
    "a": "12 32 43 46 16 05 14 44", "b": "00 06 36 45 43 32 02", "c": "43 32 12 03 05 16 36 45",
    "d": "40 46 16 05 03 12 42", "e": "04 44 43 32 12 03 05 16 36", "f": "40 30 21 26, 02 42",
    "g": "46 16 05 03 12 42 47 38 08", "h": "00 06, 02 32 43 46", "i": "20 20, 12 22 26, 16 36",
    "j": "30 30, 22 32 37 28 08", "k": "00 06, 42 04 46", "l": "10 20 25 36", "m": "06 02 22 26, 22 32 43 46",
    "n": "06 02 32 43 46", "o": "12 32 43 45 36 16 05 03 12", "p": "08 02 32 43 45 36 06",
    "q": "48 42 12 03 05 16 46", "r": "06 02, 04 22 42", "s": "42 12 03 14 34 45 36 06",
    "t": "20 25 36 46, 02 42", "u": "02 05 16 46 42", "v": "02 26 42", "w": "02 06 24 46 42",
    "x": "02 46, 42 06", "y": "02 05 16 46, 42 47 38 08", "z": "02 42 06 46", "{": "40 30 21 22 13 24 25 36 46",
    "|": "20 28", "}": "00 10 21 22 33 24 25 16 06", "~": "03 12 34 43",
}


def glyph(strokes):
    """16 rows; bit 7 is the left pixel."""
    rows = [0] * 16

    def dot(x, y):
        x, y = int(x + 0.5), int(y + 0.5)
        rows[y] |= (0xC0 >> x) & 0xFF

    for line in strokes.split(","):
        points = [(COLUMN[int(p[0])], TOP + ROW * int(p[1])) for p in line.split()]
        for (x0, y0), (x1, y1) in zip(points, points[1:]):
            n = max(1, round(max(abs(x1 - x0), abs(y1 - y0)) * 2))
            for i in range(n + 1):
                dot(x0 + (x1 - x0) * i / n, y0 + (y1 - y0) * i / n)
        if points[0] == points[-1] and len(points) == 2:  # a full stop is two rows high
            dot(points[0][0], points[0][1] - 1)
    return bytes(rows)


def font():
    table = [bytes(16)] * 256
    for c, strokes in STROKES.items():
        table[ord(c)] = glyph(strokes)
    table[0xC4] = bytes(8) + b"\xff" + bytes(7)  # code page 437: horizontal rule
    table[0xDB] = b"\xff" * 16                   # and full block
    return b"".join(table)


if __name__ == "__main__":
    data = font()
    if sys.argv[1] == "--show":
        for row in range(16):
            print("".join(format(data[ord(c) * 16 + row], "08b") + "0" for c in sys.argv[2])
                  .replace("0", " ").replace("1", "#"))
    elif sys.argv[1] == "--c":
        with open(sys.argv[2], "w") as f:
            f.write("/* Made by roms/font.py. */\nstatic const unsigned char %s[4096] = {\n"
                    % (sys.argv[3] if len(sys.argv) > 3 else "vga_font"))
            for i in range(0, len(data), 16):
                f.write("".join("%d," % b for b in data[i:i + 16]) + "\n")
            f.write("};\n")
    else:
        with open(sys.argv[1], "wb") as f:
            f.write(data)
