"""guest_files - what the command line's cases name: guests of a few bytes, files good and bad."""
import os
import shutil
import struct
import tempfile


# ---- guests: real mode at F000:FFF0, last 64 KiB below 4 GiB ----------------------------------

def rom(code):
    """An image whose reset vector jumps to `code` at F000:0000."""
    return code.ljust(0xfff0, b"\xf4") + b"\xea\x00\x00\x00\xf0".ljust(16, b"\xf4")


def out(port, value):
    return b"\xba" + struct.pack("<H", port) + b"\xb0" + bytes([value]) + b"\xee"


IDLE = b"\xfa\xf4\xeb\xfd"                      # cli; hlt; jmp back to hlt
# Echoes serial port 0; 'Q' ends the run with code 5. A break is echoed as '!'.
ECHO = (b"\xba\xfd\x03\xec"                     # 0: mov dx,3fd; in al,dx
        b"\xa8\x10\x75\x14"                     # 4: test al,10h; jnz 1c
        b"\xa8\x01\x74\xf4"                     # 8: test al,1; jz 0
        b"\xba\xf8\x03\xec"                     # c: mov dx,3f8; in al,dx
        b"\xee\x3c\x51\x75\xeb"                 # 10: out dx,al; cmp al,'Q'; jne 0
        + out(0x501, 2) +                       # 15
        b"\xf4"                                 # 1b: hlt
        b"\xba\xf8\x03\xec\xb0\x21\xee"         # 1c: take the break's zero; '!'
        b"\xeb\xdb")                            # 23: jmp 0
assert ECHO[0x1c] == 0xba and len(ECHO) == 0x25


LINE_8N1 = out(0x3fb, 3)  # a 16550 wakes up with five data bits


def hello(text):
    return LINE_8N1 + b"".join(out(0x3f8, c) for c in text)


def flat32(code):
    """A ROM that copies code to 8000h and runs it in flat 32-bit protected mode."""
    size = 0x30  # of what stands before the table, the GDT and the code
    start = (b"\x31\xc0\x8e\xc0\xbf\x00\x80"                # es:di = 0:8000
             b"\xbe" + struct.pack("<H", size + 0x20) + b"\xb9" + struct.pack("<H", len(code)) +
             b"\x2e\xf3\xa4"                                  # rep movs es:[di], cs:[si]
             b"\x2e\x0f\x01\x16" + struct.pack("<H", size) + # lgdt cs:[]
             b"\x0f\x20\xc0\x0c\x01\x0f\x22\xc0"              # cr0.pe
             b"\x66\xea\x00\x80\x00\x00\x08\x00")             # jmp 8:8000
    table = struct.pack("<HI", 23, 0xf0000 + size + 8).ljust(8, b"\0")
    gdt = struct.pack("<QQQ", 0, 0x00cf9b000000ffff, 0x00cf93000000ffff)
    return rom(start.ljust(size, b"\x90") + table + gdt + code)


# Segments; 2 million times around at 8015h; exit code 21h.
LOOP = flat32(b"\xb8\x10\0\0\0\x8e\xd8\x8e\xc0\x8e\xd0\xbc\x00\x70\0\0\xb9\x80\x84\x1e\0"
              b"\x01\xc8\x49\x75\xfb"                 # add eax, ecx; dec ecx; jnz
              b"\x66" + out(0x501, 0x10) + b"\xfa\xf4\xeb\xfd")


class Files:
    """What the cases name: files good and bad in one folder."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="trivisor-cli-")
        self.write("disk", bytes(1 << 16))
        self.write("iso", bytes(1 << 16))
        self.write("floppy", bytes(1474560))
        self.write("odd", bytes(1000))
        self.write("empty", b"")
        self.write("text", b"this is no kernel, and no ROM either\n" * 40)
        self.write("one", b"\x00")
        self.write("qcow2", b"QFI\xfb\x00\x00\x00\x03".ljust(1 << 16, b"\0"))
        self.write("vmdk", b"KDMV\x01\x00\x00\x00".ljust(1 << 16, b"\0"))
        self.write("gz", b"\x1f\x8b\x08\x00".ljust(4096, b"\0"))
        self.write("a,b", bytes(4096))
        os.mkdir(self.path("dir"))
        os.mkfifo(self.path("pipe"))
        os.symlink(self.path("nowhere"), self.path("dangling"))
        with open(self.path("huge"), "wb") as f:
            f.truncate(1 << 33)
        self.kernels()
        self.write("elf", b"\x7fELF\x02\x01\x01".ljust(64, b"\0"))
        self.write("elf-short", b"\x7fELF")
        self.write("elf32-big", b"\x7fELF\x01\x02\x01".ljust(52, b"\0"))
        self.write("idle.rom", rom(IDLE))
        self.write("halt.rom", rom(hello(b".") + IDLE))
        self.write("echo.rom", rom(LINE_8N1 + ECHO))
        self.write("loop.rom", LOOP)
        self.write("exit.rom", rom(out(0x501, 0x10) + IDLE))
        self.write("hello.rom", rom(hello(b"hello\n") + out(0xe9, 0x44) + out(0x501, 0)))
        # lidt cs:[10h], which is all zeros: no vector is inside it; int3
        self.write("triple.rom", rom(b"\x2e\x0f\x01\x1e\x10\x00\xcc".ljust(16, b"\0") + bytes(6)))
        self.write("reset.rom", rom(out(0x64, 0xfe) + IDLE))

    def kernels(self):
        """A bzImage's first sectors, and ways to spoil them."""
        k = bytearray(4096 * 4)
        k[0x1f1] = 4                                    # setup_sects
        struct.pack_into("<I", k, 0x1f4, (len(k) - 5 * 512) // 16)
        k[0x1fe:0x200] = b"\x55\xaa"
        k[0x202:0x206] = b"HdrS"
        struct.pack_into("<H", k, 0x206, 0x20c)
        k[0x211] = 1                                    # loaded high
        struct.pack_into("<I", k, 0x214, 0x100000)
        struct.pack_into("<I", k, 0x238, 255)           # cmdline_size
        struct.pack_into("<Q", k, 0x258, 0x100000)
        struct.pack_into("<I", k, 0x260, 0x10000)

        def spoilt(name, at, value, size=None):
            c = bytearray(k)
            c[at:at + len(value)] = value
            self.write(name, bytes(c[:size]))

        self.write("kernel", bytes(k))
        spoilt("kernel-nomagic", 0x202, b"hdRS")
        spoilt("kernel-noboot", 0x1fe, b"\0\0")
        spoilt("kernel-old", 0x206, b"\x00\x02")
        spoilt("kernel-low", 0x211, b"\0")
        spoilt("kernel-setup", 0x1f1, b"\xff")
        spoilt("kernel-cut", 0, b"", 0x400)
        spoilt("kernel-big", 0x260, struct.pack("<I", 0x7fffffff))

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)

    def path(self, name):
        return os.path.join(self.dir, name)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)
