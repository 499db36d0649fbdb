"""drop - what xdotool cannot: a file dragged onto a window as a file manager does (the source's side
of XDND version 5), and a keyboard without repetition.

Spoken with libX11 by ctypes; events are packed as Xlib's structs lie in memory on x86-64.
"""
import ctypes
import struct
import time

CLIENT_MESSAGE, SELECTION_REQUEST, SELECTION_NOTIFY = 33, 30, 31
NAMES = ["XdndAware", "XdndEnter", "XdndPosition", "XdndStatus", "XdndDrop", "XdndFinished",
         "XdndSelection", "XdndActionCopy", "text/uri-list"]


def library():
    x = ctypes.CDLL("libX11.so.6")
    x.XOpenDisplay.restype = ctypes.c_void_p
    for f in ("XInternAtom", "XCreateSimpleWindow", "XDefaultRootWindow"):
        getattr(x, f).restype = ctypes.c_ulong
    return x


def no_repeat(display):
    """A key that stays down because the machine is busy is one key."""
    x = library()
    d = ctypes.c_void_p(x.XOpenDisplay(display.encode()))
    if d:
        x.XAutoRepeatOff(d)
        x.XCloseDisplay(d)


def drop_file(display, window, uri, timeout=60):
    """Whether the window took it."""
    x = library()
    d = ctypes.c_void_p(x.XOpenDisplay(display.encode()))
    if not d:
        return False
    atom = {n: x.XInternAtom(d, n.encode(), 0) for n in NAMES}
    me = x.XCreateSimpleWindow(d, ctypes.c_ulong(x.XDefaultRootWindow(d)), 0, 0, 1, 1, 0,
                               ctypes.c_ulong(0), ctypes.c_ulong(0))
    to = ctypes.c_ulong(window)
    x.XSetSelectionOwner(d, ctypes.c_ulong(atom["XdndSelection"]), ctypes.c_ulong(me),
                         ctypes.c_ulong(0))

    def say(what, *data):
        data = [me, *data] + [0] * (4 - len(data))
        event = struct.pack("<iiQiiQQQiiQQQQQ", CLIENT_MESSAGE, 0, 0, 1, 0, 0, window, atom[what],
                            32, 0, *data).ljust(192, b"\0")
        x.XSendEvent(d, to, 0, ctypes.c_long(0), event)
        x.XFlush(d)

    def answer(event):
        """What the target asks for goes into a property of its window."""
        requestor, selection, target, name, when = struct.unpack("<QQQQQ", event[40:80])
        text = (uri + "\r\n").encode()
        x.XChangeProperty(d, ctypes.c_ulong(requestor), ctypes.c_ulong(name),
                          ctypes.c_ulong(target), 8, 0, text, len(text))
        reply = struct.pack("<iiQiiQQQQQQ", SELECTION_NOTIFY, 0, 0, 1, 0, 0, requestor, selection,
                            target, name, when).ljust(192, b"\0")
        x.XSendEvent(d, ctypes.c_ulong(requestor), 0, ctypes.c_long(0), reply)
        x.XFlush(d)

    say("XdndEnter", 5 << 24, atom["text/uri-list"])
    say("XdndPosition", 0, 100 << 16 | 100, 0, atom["XdndActionCopy"])
    limit, event, dropped, done = time.monotonic() + timeout, ctypes.create_string_buffer(192), 0, False
    while not done and time.monotonic() < limit:
        if not x.XPending(d):
            time.sleep(0.02)
            continue
        x.XNextEvent(d, event)
        kind = struct.unpack("<i", event.raw[:4])[0]
        if kind == SELECTION_REQUEST:
            answer(event.raw)
        elif kind == CLIENT_MESSAGE:
            name = struct.unpack("<Q", event.raw[40:48])[0]
            if name == atom["XdndStatus"] and not dropped:
                dropped = 1
                say("XdndDrop", 0, 0)
            done = name == atom["XdndFinished"]
    x.XCloseDisplay(d)
    return done
