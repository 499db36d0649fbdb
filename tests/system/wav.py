"""wav - what is heard in a WAV file, with the standard library only."""
import array
import math
import wave

import vm


class Sound:
    """A file's frames: rate, and one array of samples a channel."""

    def __init__(self, path):
        with wave.open(path) as w:
            if (w.getnchannels(), w.getsampwidth(), w.getframerate()) != (2, 2, 48000):
                raise vm.Failure("%s: not 48 kHz, 16 bits, two channels" % path)
            both = array.array("h", w.readframes(w.getnframes()))
        self.rate, self.channel = 48000, (both[0::2], both[1::2])

    def loud(self, least=1000):
        """(first, last) frame that is louder than `least` on the left."""
        at = [k for k in range(0, len(self.channel[0])) if abs(self.channel[0][k]) > least]
        if not at:
            raise vm.Failure("silence: %d frames" % len(self.channel[0]))
        return at[0], at[-1]

    def level(self, channel, first, n, hz):
        """Amplitude of the sine of hz, under a Hann window (Goertzel's recurrence)."""
        c = 2 * math.cos(2 * math.pi * hz / self.rate)
        a = b = 0.0
        for k in range(n):
            x = self.channel[channel][first + k] * (1 - math.cos(2 * math.pi * k / n))
            a, b = x + c * a - b, a
        return 2 * math.sqrt(max(a * a + b * b - c * a * b, 0)) / n

    def loudest(self, channel, first, n=4096, low=100, high=4000):
        """The loudest frequency between low and high, closer than a thousandth."""
        step = self.rate / n
        def best(lo, hi, by):
            steps = [lo + by * k for k in range(int((hi - lo) / by) + 1)]
            return max(steps, key=lambda hz: self.level(channel, first, n, hz))
        at = best(low, high, step)
        while step > at / 2000:
            at = best(at - step, at + step, step / 8)
            step /= 8
        return at


def expect_tone(sound, channel, first, hz):
    got = sound.loudest(channel, first)
    print("channel %d: %.2f Hz for %.2f" % (channel, got, hz))
    if abs(got - hz) > hz / 100:
        raise vm.Failure("channel %d: %.2f Hz, not %.2f" % (channel, got, hz))
