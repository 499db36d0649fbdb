/*
 * devices/net.c - Internet checksums and TCP segmentation for network cards.
 *
 * What it is not: a protocol stack. It looks at headers where they usually are and leaves alone
 * what it does not know.
 */
#include "devices/net.h"
#include "base/bits.h"
#include "bus/backend.h"

enum { FLAG_FIN = 0x01, FLAG_PSH = 0x08, FLAG_CWR = 0x80 };

/* The sum does not depend on byte order (RFC 1071, 2B): added as the host loads, swapped once. */
u16 net_sum(const u8 *p, size_t len)
{
    u64 s = 0;
    for (; len >= 4; p += 4, len -= 4)
        s += ld_u32(p);
    if (len >= 2) {
        s += ld_u16(p);
        p += 2;
        len -= 2;
    }
    if (len)
        s += *p;
    s = (s & 0xffffffff) + (s >> 32);
    s = (s & 0xffff) + (s >> 16 & 0xffff) + (s >> 32);
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    return (u16)(s << 8 | s >> 8);
}

u16 net_pseudo_sum(const u8 *ip, bool ipv6, u8 proto, u32 l4_len)
{
    u16 s = ipv6 ? net_sum(ip + 8, 32) : net_sum(ip + 12, 8);
    s = net_add(s, proto);
    s = net_add(s, (u16)l4_len);
    return net_add(s, (u16)(l4_len >> 16));
}

bool net_checksum(u8 *frame, u32 len, u32 start, u32 end, u32 at, bool zero_is_ones)
{
    if (start >= end || end > len || at > len || len - at < 2)
        return false;
    u16 s = (u16)~net_sum(frame + start, end - start);
    st_be16(frame + at, s == 0 && zero_is_ones ? 0xffff : s);
    return true;
}

/* ---- receiving ------------------------------------------------------------------------------ */
static void check_l4(struct net_l4 *r, const u8 *ip, u8 proto, const u8 *l4, u32 len)
{
    if (proto == IP_PROTO_TCP && len >= 20) {
        r->tcp = true;
    } else if (proto == IP_PROTO_UDP && len >= 8 && ld_be16(l4 + 6)) {
        u32 said = ld_be16(l4 + 4);
        if (said < 8 || said > len)
            return;
        len = said;
        r->udp = true;
    } else {
        return;
    }
    r->bad_l4 = net_add(net_sum(l4, len), net_pseudo_sum(ip, r->ipv6, proto, len)) != 0xffff;
}

struct net_l4 net_check(const u8 *frame, u32 len)
{
    struct net_l4 r = {0};
    u32 at = ETH_HLEN;
    if (len < ETH_HLEN)
        return r;
    u16 type = ld_be16(frame + 12);
    if (type == 0x8100 && len >= ETH_HLEN + 4) {
        type = ld_be16(frame + 16);
        at += 4;
    }
    const u8 *ip = frame + at;
    u32 left = len - at;
    if (type == ETH_TYPE_IPV4 && left >= 20 && ip[0] >> 4 == 4) {
        u32 header = (u32)(ip[0] & 15) * 4, total = ld_be16(ip + 2);
        if (header < 20 || total < header || total > left)
            return r;
        r.ipv4 = true;
        r.bad_ip = net_sum(ip, header) != 0xffff;
        if (!(ld_be16(ip + 6) & 0x3fff)) /* no fragment */
            check_l4(&r, ip, ip[9], ip + header, total - header);
    } else if (type == ETH_TYPE_IPV6 && left >= 40 && ip[0] >> 4 == 6) {
        u32 payload = ld_be16(ip + 4);
        if (payload > left - 40)
            return r;
        r.ipv6 = true;
        check_l4(&r, ip, ip[6], ip + 40, payload);
    }
    return r;
}

/* ---- segmentation --------------------------------------------------------------------------- */
static void finish_segment(u8 *frame, u32 len, const struct net_tso *t, u16 id)
{
    u8 *ip = frame + t->l3, *tcp = frame + t->l4;
    if (t->ipv6) {
        st_be16(ip + 4, (u16)(len - t->l3 - 40));
    } else {
        st_be16(ip + 2, (u16)(len - t->l3));
        st_be16(ip + 4, id);
        st_be16(ip + 10, 0);
        st_be16(ip + 10, (u16)~net_sum(ip, t->l4 - t->l3));
    }
    st_be16(tcp + 16, net_pseudo_sum(ip, t->ipv6, IP_PROTO_TCP, len - t->l4));
    net_checksum(frame, len, t->l4, len, t->l4 + 16, false);
}

bool net_segment(const u8 *packet, u32 len, const struct net_tso *t, net_emit_fn *emit, void *ctx)
{
    u8 out[NET_JUMBO_MAX];
    u32 most = t->most ? MIN(t->most, sizeof(out)) : NET_FRAME_MAX;
    u32 ip_header = t->ipv6 ? 40 : 20;
    enum { MSS_LEAST = 16 }; /* smaller ones only make work */

    if (t->header >= most || t->header > len || t->l3 < ETH_HLEN || t->l3 > t->header ||
        t->l4 > t->header || t->l4 < t->l3 + ip_header || t->l4 + 20 > t->header ||
        t->mss < MSS_LEAST || t->mss > most - t->header)
        return false;
    u32 payload = len - t->header, seq = ld_be32(packet + t->l4 + 4), at = 0;
    u16 id = t->ipv6 ? 0 : ld_be16(packet + t->l3 + 4);
    u8 flags = packet[t->l4 + 13];
    do {
        u32 n = MIN(payload - at, t->mss);
        bool last = at + n == payload;
        memcpy(out, packet, t->header);
        memcpy(out + t->header, packet + t->header + at, n);
        st_be32(out + t->l4 + 4, seq + at);
        out[t->l4 + 13] = (u8)(flags & ~((last ? 0 : FLAG_FIN | FLAG_PSH) | (at ? FLAG_CWR : 0)));
        finish_segment(out, t->header + n, t, id++);
        emit(ctx, out, t->header + n);
        at += n;
    } while (at < payload);
    return true;
}
