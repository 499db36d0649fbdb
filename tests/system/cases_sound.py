"""cases_sound - what guests play is measured in the WAV file: frequency within a percent."""
import os
import stat
import subprocess

from run import case
import guests
import initramfs
import vm
import wav

APPEND = "console=ttyS0,115200 panic=-1"
PANIC = "Kernel panic|end Kernel|Unable to mount root|BUG: |Oops:"


def roms(c, *options):
    """Each ROM of roms/sound through the command: the files are alike, byte by byte."""
    tones = {"speaker": 1000.15, "sb8": 11025 / 22, "sb16": 44100 / 64, "opl": 440}
    for name, hz in tones.items():
        rom = os.path.join(c.build, "roms", "sound", "sound_%s.rom" % name)
        files = []
        for engine in ("interp", "bt"):
            files.append(os.path.join(c.work, "%s-%s.wav" % (name, engine)))
            r = subprocess.run([c.emu.program, "run", "-rom", rom, "-icount", "5", "-display", "none",
                                "-sound", "sb16", "-engine", engine, "-audio", "wav:" + files[-1],
                                *options], timeout=300)
            if r.returncode != 1:
                raise vm.Failure("%s on %s: exit status %d" % (name, engine, r.returncode))
        sound = wav.Sound(files[0])
        first, last = sound.loud()
        wav.expect_tone(sound, 0, first + 2000, hz)
        with open(files[0], "rb") as a, open(files[1], "rb") as b:
            if a.read() != b.read():
                raise vm.Failure("%s: the engines' files differ" % name)


@case
def sound_roms(c):
    """speaker, Sound Blaster and OPL: the programmed frequency, both engines the same file"""
    roms(c)


@case
def sound_sdl(c):
    """the queue to SDL, with its driver that writes to a file: the tone arrives"""
    out = os.path.join(c.work, "sdl.raw")
    env = dict(os.environ, SDL_AUDIODRIVER="disk", SDL_DISKAUDIOFILE=out)
    rom = os.path.join(c.build, "roms", "sound", "sound_speaker.rom")
    r = subprocess.run([c.emu.program, "run", "-rom", rom, "-display", "none", "-audio", "sdl",
                        "-stats"], env=env, timeout=300, capture_output=True, text=True)
    print(r.stderr[-3000:])
    if r.returncode != 1 or "sound underruns" not in r.stderr:
        raise vm.Failure("exit status %d" % r.returncode)
    with open(out, "rb") as f:
        data = f.read()
    if not any(data):
        raise vm.Failure("%d bytes of silence" % len(data))
    env["SDL_AUDIODRIVER"] = "nonsense"
    r = subprocess.run([c.emu.program, "run", "-rom", rom, "-display", "none", "-audio", "sdl"],
                       env=env, timeout=300, capture_output=True, text=True)
    if r.returncode != 4 or "no sound" not in r.stderr:
        raise vm.Failure("without a sound card: %d, %r" % (r.returncode, r.stderr))


def linux_ac97(c, engine):
    program = os.path.join(c.work, "play_guest")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "play_guest.c")
    subprocess.run([guests.tool("cc", "gcc"), "-O", "-static", "-o", program, source], check=True)
    with open(program, "rb") as f:
        extra = [("bin/play", stat.S_IFREG | 0o755, f.read(), (0, 0))]
    extra += initramfs.modules(c.guests, ["snd_intel8x0"])
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64", extra))
    out = os.path.join(c.work, "ac97.wav")
    with c.emu.start("-m", "256", "-engine", engine, "-kernel", guests.kernel(c.guests), "-initrd",
                     initrd, "-append", APPEND, "-icount", "2", "-sound", "ac97", "-audio",
                     "wav:" + out) as v:
        v.expect("trivisor# ", 600, never=PANIC)
        status, text = v.command_output("cat /proc/asound/cards")
        print(text)
        if "ICH" not in text:
            raise vm.Failure("no card: %r" % text)
        for hz, rate in ((440, 48000), (600, 22050)):
            status, text = v.command_output("play %d %d 1" % (hz, rate))
            print(text)
            if status or "played, 0 underruns" not in text or "rate %d/1" % rate not in text:
                raise vm.Failure("play: %r" % text)
            v.command_output("sleep 1")
        v.send("poweroff -f\n")
        if v.wait():
            raise vm.Failure("power-off")
    sound = wav.Sound(out)
    first, last = sound.loud()
    wav.expect_tone(sound, 0, first + 9600, 440)
    wav.expect_tone(sound, 1, first + 9600, 880)
    wav.expect_tone(sound, 0, last - 24000, 600)
    wav.expect_tone(sound, 1, last - 24000, 1200)


@case
def sound_ac97(c):
    """Debian's snd-intel8x0 on AC'97: two rates, the tones in the file"""
    linux_ac97(c, "bt")


@case
def sound_ac97_interp(c):
    """the same on the interpreter"""
    linux_ac97(c, "interp")
