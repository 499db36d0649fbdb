"""vt - a terminal of our own: what ncurses sends an xterm, as cells. Only what it does send; anything
else is an error, so that nothing is drawn by luck."""
import re

TOKEN = re.compile(rb"\x1b\[([?>]?)([0-9;]*)([@-~])|\x1b([()][0-9A-B])|\x1b([=>78M])|"
                   rb"([\x20-\x7e\xc2-\xf4][\x80-\xbf]*)|([\r\n\b\x0f\x07])")
PARTIAL = re.compile(rb"\x1b(\[[?>]?[0-9;]*|[()])?$|[\xc2-\xf4][\x80-\xbf]*$")


class Terminal:
    def __init__(self, cols, rows):
        self.cols, self.rows, self.rest = cols, rows, b""
        self.x = self.y = 0
        self.attr = (7, 0, frozenset())
        self.cursor, self.alternate, self.keypad = True, False, False
        self.top, self.bottom = 0, rows
        self.clear()

    def clear(self):
        self.cells = [[(" ", (7, 0, frozenset()))] * self.cols for _ in range(self.rows)]

    def line(self, y):
        return "".join(c for c, _ in self.cells[y])

    def text(self):
        return "\n".join(self.line(y).rstrip() for y in range(self.rows))

    def feed(self, data):
        data = self.rest + data
        at = 0
        while at < len(data):
            m = TOKEN.match(data, at)
            if m and m.group(6) and m.end() == len(data) and PARTIAL.match(m.group(6)):
                try:
                    m.group(6).decode()
                except UnicodeDecodeError:
                    break
            if not m:
                if PARTIAL.match(data, at):
                    break
                raise ValueError("unknown to the terminal: %r" % data[at:at + 20])
            at = m.end()
            if m.group(3):
                self.csi(m.group(1), [int(n) if n else 0 for n in m.group(2).split(b";")],
                         m.group(3).decode())
            elif m.group(5):
                if m.group(5) in b"=>":
                    self.keypad = m.group(5) == b"="
                elif m.group(5) == b"M":
                    self.reverse_index()
            elif m.group(6):
                self.put(m.group(6).decode())
            elif m.group(7) == b"\r":
                self.x = 0
            elif m.group(7) == b"\n":
                self.index()
            elif m.group(7) == b"\b":
                self.x = max(self.x - 1, 0)
        self.rest = data[at:]

    def put(self, c):
        if self.x == self.cols:
            self.x = 0
            self.index()
        self.cells[self.y][self.x] = self.last = (c, self.attr)
        self.x += 1

    def scroll(self, n):
        blank = [(" ", (7, self.attr[1], frozenset()))] * self.cols
        for _ in range(abs(n)):
            if n > 0:
                self.cells.insert(self.bottom, list(blank))
                del self.cells[self.top]
            else:
                del self.cells[self.bottom - 1]
                self.cells.insert(self.top, list(blank))

    def index(self):
        if self.y == self.bottom - 1:
            self.scroll(1)
        else:
            self.y = min(self.y + 1, self.rows - 1)

    def reverse_index(self):
        if self.y == self.top:
            self.scroll(-1)
        else:
            self.y = max(self.y - 1, 0)

    def erase(self, y, a, b):
        for x in range(a, b):
            self.cells[y][x] = (" ", (7, self.attr[1], frozenset()))

    def csi(self, private, n, what):
        one = n[0] or 1
        if private:
            for k in n:
                if k == 25 and what in "hl":
                    self.cursor = what == "h"
                elif k == 1049 and what in "hl":
                    self.alternate = what == "h"
                    self.clear()
                elif k not in (1, 12, 7, 1034, 2004):
                    raise ValueError("mode %s%d%s" % (private, k, what))
        elif what == "H":
            self.y, self.x = min(one, self.rows) - 1, min((n + [0])[1] or 1, self.cols) - 1
        elif what == "d":
            self.y = min(one, self.rows) - 1
        elif what == "G":
            self.x = min(one, self.cols) - 1
        elif what in "ABCD":
            self.x += one * ((what == "C") - (what == "D"))
            self.y += one * ((what == "B") - (what == "A"))
            self.x, self.y = max(min(self.x, self.cols - 1), 0), max(min(self.y, self.rows - 1), 0)
        elif what == "J":
            if n[0] == 2:
                self.clear()
            else:
                self.erase(self.y, self.x, self.cols)
                for y in range(self.y + 1, self.rows):
                    self.erase(y, 0, self.cols)
        elif what == "K":
            self.erase(self.y, 0 if n[0] else self.x, self.x + 1 if n[0] == 1 else self.cols)
        elif what == "X":
            self.erase(self.y, self.x, min(self.x + one, self.cols))
        elif what == "b":
            for _ in range(one):
                self.put(self.last[0])
        elif what in "P@":
            row = self.cells[self.y]
            blank = [(" ", (7, self.attr[1], frozenset()))] * one
            if what == "P":
                row[self.x:] = (row[self.x + one:] + blank)[:self.cols - self.x]
            else:
                row[self.x:] = (blank + row[self.x:])[:self.cols - self.x]
        elif what in "LM":
            top, self.top = self.top, self.y
            self.scroll(-one if what == "L" else one)
            self.top = top
        elif what in "ST":
            self.scroll(one if what == "S" else -one)
        elif what == "r":
            self.top, self.bottom = one - 1, (n + [0])[1] or self.rows
            self.x = self.y = 0
        elif what == "m":
            self.sgr(n)
        elif what not in "tlh":
            raise ValueError("CSI %r %s" % (n, what))

    def sgr(self, n):
        fg, bg, flags = self.attr
        while n:
            k = n.pop(0)
            if k == 0:
                fg, bg, flags = 7, 0, frozenset()
            elif k in (1, 4, 5, 7):
                flags |= {{1: "bold", 4: "underline", 5: "blink", 7: "reverse"}[k]}
            elif k in (22, 24, 25, 27):
                flags -= {{22: "bold", 24: "underline", 25: "blink", 27: "reverse"}[k]}
            elif 30 <= k < 38:
                fg = k - 30
            elif 40 <= k < 48:
                bg = k - 40
            elif 90 <= k < 98:
                fg = k - 82
            elif k in (39, 49):
                fg, bg = (7, bg) if k == 39 else (fg, 0)
            elif k in (38, 48) and n[0] == 5:
                fg, bg = (n[1], bg) if k == 38 else (fg, n[1])
                del n[:2]
            else:
                raise ValueError("SGR %d" % k)
        self.attr = fg, bg, flags
