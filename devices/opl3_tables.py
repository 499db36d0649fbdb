#!/usr/bin/env python3
"""opl3_tables.py - the YMF262's two ROMs by their formulae, as C.

A quarter of a sine as attenuation, -log2(sin) in 1/256 octaves; and its inverse, the fraction of a
power of two in 1/1024.

  opl3_tables.py OUTPUT
"""
import math
import sys


def table(f, name, values):
    f.write("static const unsigned short %s[256] = {\n" % name)
    for k in range(0, 256, 12):
        f.write("    %s,\n" % ", ".join(map(str, values[k:k + 12])))
    f.write("};\n")


def main():
    with open(sys.argv[1], "w") as f:
        f.write("/* opl3_tables.h - made by devices/opl3_tables.py. */\n")
        table(f, "log_sine", [round(-256 * math.log2(math.sin((k + 0.5) * math.pi / 512)))
                              for k in range(256)])
        table(f, "power", [round(1024 * (2 ** (k / 256) - 1)) for k in range(256)])


main()
