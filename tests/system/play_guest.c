/*
 * tests/system/play_guest.c - plays a tone on the first sound card, by the kernel's own interface.
 *
 * play HERTZ RATE SECONDS: a triangle wave, 16 bits, two channels, the right one an octave higher.
 * Runs in a guest without libraries (static); prints what the card gave and "played" at the end.
 * The mixer is set to full volume by the control device first: every switch on, every volume at its
 * most.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <sound/asound.h>

enum { CONTROLS = 128, CHUNK = 1024 };

static void die(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

/* Master and PCM, whatever they are called here. */
static void all_on(void)
{
    static struct snd_ctl_elem_id ids[CONTROLS];
    struct snd_ctl_elem_list list = {.space = CONTROLS, .pids = ids};
    int fd = open("/dev/snd/controlC0", O_RDWR);
    if (fd < 0 || ioctl(fd, SNDRV_CTL_IOCTL_ELEM_LIST, &list) < 0)
        die("controls");
    for (unsigned k = 0; k < list.used; k++) {
        struct snd_ctl_elem_info info = {.id = ids[k]};
        struct snd_ctl_elem_value val = {.id = ids[k]};
        const char *name = (const char *)ids[k].name;
        if (strncmp(name, "Master Playback", 15) && strncmp(name, "PCM Playback", 12))
            continue;
        if (ioctl(fd, SNDRV_CTL_IOCTL_ELEM_INFO, &info) < 0)
            continue;
        /* PCM amplifies from 3/4 on */
        for (unsigned n = 0; n < info.count; n++)
            val.value.integer.value[n] = info.value.integer.max;
        if (ioctl(fd, SNDRV_CTL_IOCTL_ELEM_WRITE, &val) >= 0)
            printf("%s: %ld\n", name, (long)info.value.integer.max);
    }
    close(fd);
}

static struct snd_interval *interval(struct snd_pcm_hw_params *p, int which)
{
    return &p->intervals[which - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];
}

static void only(struct snd_pcm_hw_params *p, int which, unsigned value)
{
    *interval(p, which) = (struct snd_interval){.min = value, .max = value, .integer = 1};
}

static void mask(struct snd_pcm_hw_params *p, int which, int value)
{
    struct snd_mask *m = &p->masks[which - SNDRV_PCM_HW_PARAM_FIRST_MASK];
    memset(m, 0, sizeof(*m));
    m->bits[value >> 5] = 1u << (value & 31);
}

static void set_up(int fd, unsigned rate)
{
    static struct snd_pcm_hw_params p;
    memset(&p, 0xff, sizeof(p.masks));
    for (int k = SNDRV_PCM_HW_PARAM_FIRST_INTERVAL; k <= SNDRV_PCM_HW_PARAM_LAST_INTERVAL; k++)
        *interval(&p, k) = (struct snd_interval){.max = ~0u};
    p.rmask = ~0u;
    mask(&p, SNDRV_PCM_HW_PARAM_ACCESS, SNDRV_PCM_ACCESS_RW_INTERLEAVED);
    mask(&p, SNDRV_PCM_HW_PARAM_FORMAT, SNDRV_PCM_FORMAT_S16_LE);
    mask(&p, SNDRV_PCM_HW_PARAM_SUBFORMAT, SNDRV_PCM_SUBFORMAT_STD);
    only(&p, SNDRV_PCM_HW_PARAM_CHANNELS, 2);
    only(&p, SNDRV_PCM_HW_PARAM_RATE, rate);
    only(&p, SNDRV_PCM_HW_PARAM_PERIOD_SIZE, CHUNK);
    only(&p, SNDRV_PCM_HW_PARAM_PERIODS, 8);
    if (ioctl(fd, SNDRV_PCM_IOCTL_HW_PARAMS, &p) < 0)
        die("HW_PARAMS");
    printf("rate %u/%u\n", p.rate_num, p.rate_den);
    if (ioctl(fd, SNDRV_PCM_IOCTL_PREPARE) < 0)
        die("PREPARE");
}

static int16_t triangle(uint32_t phase)
{
    int32_t v = (int32_t)(phase >> 16);
    return (int16_t)((v < 32768 ? v : 65535 - v) - 16384);
}

int main(int argc, char **argv)
{
    static int16_t buf[CHUNK * 2];
    unsigned hz = argc > 1 ? (unsigned)atoi(argv[1]) : 440;
    unsigned rate = argc > 2 ? (unsigned)atoi(argv[2]) : 48000;
    unsigned seconds = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
    uint32_t phase = 0, step = (uint32_t)(((uint64_t)hz << 32) / rate);
    unsigned again = 0;
    all_on();
    int fd = open("/dev/snd/pcmC0D0p", O_RDWR);
    if (fd < 0)
        die("pcmC0D0p");
    set_up(fd, rate);
    for (unsigned done = 0; done < rate * seconds; done += CHUNK) {
        for (int k = 0; k < CHUNK; k++, phase += step) {
            buf[2 * k] = triangle(phase);
            buf[2 * k + 1] = triangle(2 * phase);
        }
        struct snd_xferi x = {.buf = buf, .frames = CHUNK};
        while (ioctl(fd, SNDRV_PCM_IOCTL_WRITEI_FRAMES, &x) < 0) {
            if (errno != EPIPE || ioctl(fd, SNDRV_PCM_IOCTL_PREPARE) < 0)
                die("write");
            again++;
        }
    }
    if (ioctl(fd, SNDRV_PCM_IOCTL_DRAIN) < 0)
        die("DRAIN");
    printf("played, %u underruns\n", again);
    return 0;
}
