"""bad_sound - what `trivisor run` says to mistakes about sound. Rows as in cli.py."""
USAGE, HOST = 2, 4
ROM = ["run", "-nographic", "-rom", "@exit.rom"]

BAD = [
    ("sound output", ["run", "-audio", "sld"], USAGE, r"no sound output 'sld' \(did you mean 'sdl'"),
    ("sound output far off", ["run", "-audio", "alsa:hw"], USAGE, r"wants none, sdl.* or wav:FILE"),
    ("sound file without a name", ["run", "-audio", "wav:"], USAGE, r"'wav:' wants a path"),
    ("sound latency", ["run", "-audio", "sdl,latency=5"], USAGE, r"latency=20 to 500"),
    ("sound key", ["run", "-audio", "sdl,late=50"], USAGE, r"'late=50': wants latency="),
    ("sound file nowhere", ROM + ["-audio", "wav:/no/such/folder/x.wav"], HOST,
     r"-audio: /no/such/folder/x.wav: No such file"),
    ("sound file is a folder", ROM + ["-audio", "wav:/"], HOST, r"-audio: /: Is a directory"),
    ("sound card", ["run", "-sound", "sb61"], USAGE, r"no sound card 'sb61' \(did you mean 'sb16'"),
    ("sound card far off", ["run", "-sound", "gus"], USAGE, r"wants sb16\[,KEYS\] or ac97"),
    ("sound card nothing", ["run", "-sound", ""], USAGE, r"no sound card ''"),
    ("sound card key", ["run", "-sound", "sb16,ioport=0x220"], USAGE, r"sb16 has no key 'ioport'"),
    ("sound card key misspelt", ["run", "-sound", "sb16,iobas=1"], USAGE, r"did you mean 'iobase'"),
    ("sound card number", ["run", "-sound", "sb16,irq=five"], USAGE, r"irq wants a number"),
    ("sound card jumper", ROM + ["-sound", "sb16,irq=6"], USAGE, r"irq 2, 5, 7 or 10"),
    ("sound card base", ROM + ["-sound", "sb16,iobase=0x230"], USAGE, r"iobase 0x220, 0x240"),
    ("ac97 has no keys", ["run", "-sound", "ac97,irq=5"], USAGE, r"ac97 has no keys"),
]
