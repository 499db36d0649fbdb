"""image.py IN OUT - a file as a C array, compare_image."""
import sys

data = open(sys.argv[1], "rb").read()
with open(sys.argv[2], "w") as f:
    f.write("/* compare_image.h - made by roms/compare/image.py: the guest, an ELF file. */\n")
    f.write("static const unsigned char compare_image[] = {\n")
    for at in range(0, len(data), 20):
        f.write("    " + " ".join("%d," % b for b in data[at:at + 20]) + "\n")
    f.write("};\n")
