/*
 * frontends/net/nic.c - -nic's argument: which card, and what is at the other end of its cable.
 *
 * Names are QEMU's where QEMU has the thing.
 */
#include "frontends/cli_priv.h"
#include "frontends/net/net_priv.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- values -----------------------------------------------------------------------------------
 */
static enum status take_model(struct nic *n, char *value, struct error *err)
{
    static const struct {
        const char *name;
        enum vm_nic_model model;
    } models[] = {{"e1000", VM_NIC_E1000},
                  {"e1000-82540em", VM_NIC_E1000},
                  {"virtio", VM_NIC_VIRTIO},
                  {"virtio-net-pci", VM_NIC_VIRTIO}};
    for (size_t k = 0; k < ARRAY_LEN(models); k++) {
        if (!strcmp(models[k].name, value)) {
            n->model = models[k].model;
            return ST_OK;
        }
    }
    return fail(err, ST_INVAL, "no card model '%s' (there are e1000 and virtio)", value);
}

static int hex(char c)
{
    return isdigit((u8)c) ? c - '0' : isxdigit((u8)c) ? (c | 32) - 'a' + 10 : -1;
}

static enum status take_mac(struct nic *n, char *value, struct error *err)
{
    bool ok = strlen(value) == 17;
    for (int k = 0; ok && k < 6; k++) {
        int a = hex(value[3 * k]), b = hex(value[3 * k + 1]);
        ok = a >= 0 && b >= 0 && (k == 5 || value[3 * k + 2] == ':');
        n->mac[k] = (u8)(a << 4 | b);
    }
    if (!ok)
        return fail(err, ST_INVAL, "'%s' is no MAC address (52:54:00:12:34:56 is)", value);
    if (n->mac[0] & 1)
        return fail(err, ST_INVAL, "%s is a multicast address: no card can have it", value);
    n->has_mac = true;
    return ST_OK;
}

/* What a card tells its driver, so there is no default: a card that says nothing has 1500. */
static enum status take_mtu(struct nic *n, const char *key, char *value, struct error *err)
{
    char *end;
    unsigned long v = isdigit((u8)*value) ? strtoul(value, &end, 10) : 0;
    if (v < NET_MTU_MIN || v > NET_MTU_MAX || *end)
        return fail(err, ST_INVAL, "%s=%s: wants a number from %d to %d", key, value, NET_MTU_MIN,
                    NET_MTU_MAX);
    n->mtu = (u16)v;
    return ST_OK;
}

static enum status take_bool(bool *to, const char *key, char *value, struct error *err)
{
    return parse_on_off(value, to) ? ST_OK
                                   : fail(err, ST_INVAL, "%s=%s: wants on or off", key, value);
}

static enum status take_address(struct in_addr *to, const char *key, char *value, struct error *err)
{
    return inet_pton(AF_INET, value, to) == 1
               ? ST_OK
               : fail(err, ST_INVAL, "%s=%s: wants an address such as 10.0.2.2", key, value);
}

/* ADDRESS[/BITS or /MASK] */
static enum status take_network(struct nic *n, char *value, struct error *err)
{
    char *slash = strchr(value, '/');
    u64 bits = 24;
    struct in_addr mask;
    if (slash)
        *slash++ = 0;
    bool ok = inet_pton(AF_INET, value, &n->network) == 1;
    if (slash && inet_pton(AF_INET, slash, &mask) == 1) {
        u32 m = ntohl(mask.s_addr);
        ok = ok && m && !(~m & (~m + 1));
        bits = (u64)__builtin_popcount(m);
    } else if (slash) {
        ok = ok && parse_number(slash, 32, &bits);
    }
    if (!ok || bits < 4 || bits > 27)
        return fail(err, ST_INVAL, "net=%s: wants a network of 4 to 27 bits, as in 10.0.2.0/24",
                    value);
    n->mask.s_addr = htonl(~0u << (32 - bits));
    n->network.s_addr &= n->mask.s_addr;
    return ST_OK;
}

/* "[ADDRESS]:PORT"; nothing before the colon leaves *to as it was. */
static bool take_end(char *text, struct in_addr *to, u16 *port)
{
    char *colon = strrchr(text, ':');
    u64 v;
    if (!colon || !parse_number(colon + 1, 65535, &v) || !v)
        return false;
    *colon = 0;
    *port = (u16)v;
    return !*text || inet_pton(AF_INET, text, to) == 1;
}

static enum status take_forward(struct nic *n, char *value, struct error *err)
{
    char said[128];
    snprintf(said, sizeof(said), "%s", value);
    if (n->n_forwards == NIC_FORWARDS)
        return fail(err, ST_INVAL, "at most %d forwards for each card", NIC_FORWARDS);
    struct nic_forward *f = &n->forward[n->n_forwards];
    f->host.s_addr = INADDR_ANY;
    char *guest = strchr(value, '-');
    bool ok = guest != NULL;
    if (ok) {
        *guest++ = 0;
        f->udp = !strncmp(value, "udp:", 4);
        if (f->udp || !strncmp(value, "tcp:", 4))
            value += 4;
        else if (*value == ':' && strchr(value + 1, ':')) /* the protocol is left out */
            value++;
        ok = take_end(value, &f->host, &f->host_port) && take_end(guest, &f->guest, &f->guest_port);
    }
    if (!ok)
        return fail(err, ST_INVAL,
                    "hostfwd=%s: wants [tcp|udp]:[HOST ADDRESS]:PORT-[GUEST ADDRESS]:PORT", said);
    n->n_forwards++;
    return ST_OK;
}

static enum status take_socket(struct sockaddr_in *to, bool *has, const char *key, char *value,
                               struct error *err)
{
    u16 port;
    char said[128];
    snprintf(said, sizeof(said), "%s", value);
    to->sin_family = AF_INET;
    to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!take_end(value, &to->sin_addr, &port))
        return fail(err, ST_INVAL, "%s=%s: wants ADDRESS:PORT", key, said);
    to->sin_port = htons(port);
    *has = true;
    return ST_OK;
}

static enum status take_word(const char **to, const char *key, char *value, struct error *err)
{
    *to = value;
    return *value ? ST_OK : fail(err, ST_INVAL, "%s= wants something", key);
}

/* ---- keys -------------------------------------------------------------------------------------
 */
static enum status unknown_key(enum nic_kind kind, const char *key, struct error *err)
{
    static const char *const keys[][16] = {
        [NIC_USER] = {"model", "mac", "mtu", "id", "hostfwd", "restrict", "net", "host", "dns",
                      "dhcpstart", "hostname", "domainname", "tftp", "bootfile", "ipv6", NULL},
        [NIC_TAP] = {"model", "mac", "mtu", "id", "ifname", "script", "downscript", NULL},
        [NIC_SOCKET] = {"model", "mac", "mtu", "id", "udp", "localaddr", NULL},
    };
    static const char *const names[] = {"user", "tap", "socket"};
    const char *near = nearest(key, keys[kind]);
    if (near)
        return fail(err, ST_INVAL, "%s: no key '%s' (did you mean '%s'?)", names[kind], key, near);
    return fail(err, ST_INVAL, "%s: no key '%s'", names[kind], key);
}

static enum status take_user(struct nic *n, const char *key, char *value, struct error *err)
{
    if (!strcmp(key, "hostfwd"))
        return take_forward(n, value, err);
    if (!strcmp(key, "restrict"))
        return take_bool(&n->restricted, key, value, err);
    if (!strcmp(key, "ipv6"))
        return take_bool(&n->ipv6, key, value, err);
    if (!strcmp(key, "net"))
        return take_network(n, value, err);
    if (!strcmp(key, "host"))
        return take_address(&n->host, key, value, err);
    if (!strcmp(key, "dns"))
        return take_address(&n->dns, key, value, err);
    if (!strcmp(key, "dhcpstart"))
        return take_address(&n->dhcp, key, value, err);
    if (!strcmp(key, "hostname"))
        return take_word(&n->hostname, key, value, err);
    if (!strcmp(key, "domainname"))
        return take_word(&n->domain, key, value, err);
    if (!strcmp(key, "tftp"))
        return take_word(&n->tftp, key, value, err);
    if (!strcmp(key, "bootfile"))
        return take_word(&n->bootfile, key, value, err);
    return unknown_key(n->kind, key, err);
}

static enum status take_tap(struct nic *n, const char *key, char *value, struct error *err)
{
    if (!strcmp(key, "ifname"))
        return strlen(value) > 15 ? fail(err, ST_INVAL, "ifname=%s: too long", value)
                                  : take_word(&n->ifname, key, value, err);
    if (!strcmp(key, "script") || !strcmp(key, "downscript"))
        return !strcmp(value, "no") ? ST_OK
                                    : fail(err, ST_UNSUP, "%s=%s: no scripts are run", key, value);
    return unknown_key(n->kind, key, err);
}

static enum status take_udp(struct nic *n, const char *key, char *value, struct error *err)
{
    if (!strcmp(key, "udp"))
        return take_socket(&n->remote, &n->has_remote, key, value, err);
    if (!strcmp(key, "localaddr"))
        return take_socket(&n->local, &n->has_local, key, value, err);
    return unknown_key(n->kind, key, err);
}

static enum status take_key(struct nic *n, const char *key, char *value, struct error *err)
{
    if (!value)
        return fail(err, ST_INVAL, "'%s' wants a value: %s=...", key, key);
    if (!strcmp(key, "model"))
        return take_model(n, value, err);
    if (!strcmp(key, "mac"))
        return take_mac(n, value, err);
    if (!strcmp(key, "mtu") || !strcmp(key, "host_mtu"))
        return take_mtu(n, key, value, err);
    if (!strcmp(key, "id")) /* there is nobody to call it by its name */
        return ST_OK;
    if (n->kind == NIC_USER)
        return take_user(n, key, value, err);
    return n->kind == NIC_TAP ? take_tap(n, key, value, err) : take_udp(n, key, value, err);
}

/* libslirp takes packets of this size at most; a datagram carries this frame at most. */
enum { USER_MTU_MAX = 65521, UDP_MTU_MAX = 65507 - NET_FRAME_EXTRA };

static enum status check_mtu(const struct nic *n, struct error *err)
{
    u32 most = n->kind == NIC_USER ? USER_MTU_MAX : n->kind == NIC_TAP ? NET_MTU_MAX : UDP_MTU_MAX;
    if (n->mtu && n->model != VM_NIC_VIRTIO)
        return fail(err, ST_INVAL, "mtu= is for model=virtio: an e1000 has no way to tell");
    if (n->mtu > most)
        return fail(err, ST_INVAL, "mtu=%u: this cable carries %u at most", n->mtu, most);
    return ST_OK;
}

static enum status check_network(const struct nic *n, struct error *err)
{
    const struct {
        const char *key;
        struct in_addr a;
    } in[] = {{"host", n->host}, {"dns", n->dns}, {"dhcpstart", n->dhcp}};
    for (size_t k = 0; k < ARRAY_LEN(in); k++)
        if (in[k].a.s_addr && (in[k].a.s_addr & n->mask.s_addr) != n->network.s_addr)
            return fail(err, ST_INVAL, "%s= is not inside net=", in[k].key);
    return ST_OK;
}

enum status nic_parse(const char *text, struct nic **out, struct error *err)
{
    static const char *const kinds[] = {"user", "tap", "socket", "none", NULL};
    char *key, *value, *list;
    enum status st = ST_OK;

    *out = NULL;
    if (!strcmp(text, "none"))
        return ST_OK;
    struct nic *n = calloc(1, sizeof(*n));
    if (!n || !(n->text = strdup(text))) {
        free(n);
        return fail(err, ST_NOMEM, "out of memory");
    }
    n->model = VM_NIC_E1000;
    n->ipv6 = true;
    n->network.s_addr = htonl(0x0a000200);
    n->mask.s_addr = htonl(0xffffff00);
    list = n->text;
    if (!next_pair(&list, &key, &value) || value)
        key = "";
    if (!strcmp(key, "user"))
        n->kind = NIC_USER;
    else if (!strcmp(key, "tap"))
        n->kind = NIC_TAP;
    else if (!strcmp(key, "socket"))
        n->kind = NIC_SOCKET;
    else {
        const char *near = nearest(key, kinds);
        st = fail(err, ST_INVAL, "'%s' is none of user, tap, socket, none%s%s%s", text,
                  near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    }
    while (st == ST_OK && next_pair(&list, &key, &value))
        st = take_key(n, key, value, err);
    if (st == ST_OK && n->kind == NIC_USER)
        st = check_network(n, err);
    if (st == ST_OK)
        st = check_mtu(n, err);
    if (st == ST_OK && n->kind == NIC_TAP && !n->ifname)
        st = fail(err, ST_INVAL, "tap: wants ifname=");
    if (st == ST_OK && n->kind == NIC_SOCKET && (!n->has_remote || !n->has_local))
        st = fail(err, ST_INVAL, "socket: wants udp=ADDRESS:PORT and localaddr=ADDRESS:PORT");
    if (st != ST_OK) {
        nic_free(n);
        return st;
    }
    *out = n;
    return ST_OK;
}

/* ---- life -------------------------------------------------------------------------------------
 */
void nic_card(const struct nic *n, int index, struct vm_nic *card)
{
    static const u8 first[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    *card = (struct vm_nic){.model = n->model};
    memcpy(card->mac, n->has_mac ? n->mac : first, 6);
    if (!n->has_mac)
        card->mac[5] = (u8)(first[5] + index);
}

enum status nic_open(struct nic *n, int index, struct vm_nic *card, struct error *err)
{
    struct error why;
    enum status st = n->kind == NIC_USER  ? slirp_open(n, &n->link, &why)
                     : n->kind == NIC_TAP ? tap_open(n, &n->link, &why)
                                          : udp_open(n, &n->link, &why);
    if (st != ST_OK)
        return fail(err, st, "-nic: %.480s", why.msg);
    nic_card(n, index, card);
    n->link->net.mtu = n->mtu;
    card->net = &n->link->net;
    return ST_OK;
}

bool nic_start(struct nic *n, struct vm *vm)
{
    return link_start(n->link, vm);
}

void nic_stop(struct nic *n)
{
    link_stop(n->link);
}

void nic_free(struct nic *n)
{
    if (!n)
        return;
    link_free(n->link);
    free(n->text);
    free(n);
}
