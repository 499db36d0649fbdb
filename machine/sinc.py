#!/usr/bin/env python3
"""sinc.py - the mixer's filter as a C table: half of a windowed sinc, PHASES values a unit.

The cutoff is a little below half the sampling rate, so that the window's slope ends there. A
Kaiser window over HALF units on each side; the values are fractions of 2^15, and sum to that over
the whole numbers.

  sinc.py OUTPUT
"""
import math
import sys

HALF, PHASES, CUTOFF, BETA = 12, 128, 0.92, 8.0


def bessel(x):
    total = term = 1.0
    k = 1
    while term > total * 1e-15:
        term *= (x / 2 / k) ** 2
        total += term
        k += 1
    return total


def value(x):
    y = math.pi * CUTOFF * x
    s = math.sin(y) / y if y else 1.0
    return CUTOFF * s * bessel(BETA * math.sqrt(max(0.0, 1 - (x / HALF) ** 2))) / bessel(BETA)


def main():
    table = [round(32768 * value(k / PHASES)) for k in range(HALF * PHASES)] + [0, 0]
    with open(sys.argv[1], "w") as f:
        f.write("/* sinc.h - made by machine/sinc.py. */\n")
        f.write("enum { SINC_HALF = %d, SINC_PHASES = %d };\n" % (HALF, PHASES))
        f.write("static const short sinc[SINC_HALF * SINC_PHASES + 2] = {\n")
        for k in range(0, len(table), 12):
            f.write("    %s,\n" % ", ".join(map(str, table[k:k + 12])))
        f.write("};\n")


main()
