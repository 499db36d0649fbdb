"""bad_virtio - what `trivisor run` says to mistakes about virtio devices. Rows as in cli.py."""
USAGE, HOST = 2, 4

BAD = [
    ("drive index virtio", ["run", "-drive", "file=@disk,if=virtio,index=8"], USAGE, r"index=8"),
    ("nine virtio disks", ["run"] + ["-drive", "file=@disk,if=virtio"] * 9, USAGE,
     r"no more than 8 virtio"),
    ("virtio disk without a file", ["run", "-drive", "if=virtio"], USAGE, r"wants file=PATH"),
    ("virtio CD", ["run", "-drive", "file=@iso,if=virtio,media=cdrom"], USAGE, r"do not go together"),
    ("virtio queues", ["run", "-drive", "file=@disk,if=virtio,queues=17"], USAGE, r"1 to 16"),
    ("virtio serial", ["run", "-drive", "file=@disk,if=virtio,serial=" + "x" * 21], USAGE,
     r"1 to 20 characters"),
    ("IDE serial", ["run", "-drive", "file=@disk,serial=x"], USAGE, r"serial= is for if=virtio"),
    ("share nowhere", ["run", "-nographic", "-rom", "@exit.rom", "-share", "/nowhere/at/all"], HOST,
     r"/nowhere/at/all: No such file"),
    ("share a file", ["run", "-nographic", "-rom", "@exit.rom", "-share", "@disk"], HOST,
     r"Not a directory"),
    ("share key", ["run", "-share", "/tmp,tga=x"], USAGE, r"did you mean 'tag'"),
    ("share empty", ["run", "-share", ""], USAGE, r"wants a folder"),
    ("shares without tags", ["run", "-share", "/tmp", "-share", "/usr"], USAGE, r"/usr: every folder"),
    ("shares with one tag", ["run", "-share", "/tmp", "-share", "/usr,tag=share"], USAGE,
     r"/tmp and /usr have the same tag"),
    ("share with a long tag", ["run", "-nographic", "-rom", "@exit.rom", "-share",
                               "/tmp,tag=" + "x" * 33], USAGE, r"1 to 32 characters"),
    ("nine ports", ["run"] + ["-virtio-console", "null"] * 9, USAGE, r"at most 8 virtio"),
    ("port without a device", ["run", "-virtio-port", "name"], USAGE, r"wants NAME,DEV"),
    ("port without a name", ["run", "-virtio-port", ",null"], USAGE, r"wants NAME,DEV"),
]
