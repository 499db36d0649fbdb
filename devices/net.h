/*
 * devices/net.h - what network cards share: Internet checksums, and cutting large TCP packets.
 *
 * You are here: e1000_tx.c, e1000_rx.c and virtio/net.c. A guest leaves checksums and segmentation
 * to its card; here they are done before the frame reaches the cable (bus/backend.h, netdev).
 * Pure functions of bytes; every length and offset may be the guest's and wrong.
 *
 * Manuals: RFC 1071 (the sum), RFC 791 and 8200 (IP), RFC 9293 (TCP), RFC 768 (UDP).
 */
#ifndef DEVICES_NET_H
#define DEVICES_NET_H

#include "base/types.h"

enum { ETH_ALEN = 6, ETH_HLEN = 14, ETH_TYPE_IPV4 = 0x0800, ETH_TYPE_IPV6 = 0x86dd };
enum { IP_PROTO_TCP = 6, IP_PROTO_UDP = 17 };

static inline u16 ld_be16(const u8 *p)
{
    return (u16)(p[0] << 8 | p[1]);
}
static inline u32 ld_be32(const u8 *p)
{
    return (u32)ld_be16(p) << 16 | ld_be16(p + 2);
}
static inline void st_be16(u8 *p, u16 v)
{
    p[0] = (u8)(v >> 8);
    p[1] = (u8)v;
}
static inline void st_be32(u8 *p, u32 v)
{
    st_be16(p, (u16)(v >> 16));
    st_be16(p + 2, (u16)v);
}

/* The ones' complement sum of len bytes, not complemented; an odd last byte is a high one. Sums of
 * parts that begin at even offsets may be added with net_add(). */
u16 net_sum(const u8 *p, size_t len);
static inline u16 net_add(u16 a, u16 b)
{
    u32 s = (u32)a + b;
    return (u16)(s + (s >> 16));
}

/* The sum of TCP's or UDP's pseudo header. ip: an IPv4 or IPv6 header with its addresses. */
u16 net_pseudo_sum(const u8 *ip, bool ipv6, u8 proto, u32 l4_len);

/* Sums frame[start, end) and stores the complement at `at`; the field's old value is part of the
 * sum (a pseudo header's, or 0). zero_is_ones: UDP, in which 0 means "no checksum". False, and the
 * frame is as it was, when the places are not in the frame. */
bool net_checksum(u8 *frame, u32 len, u32 start, u32 end, u32 at, bool zero_is_ones);

/* What cards find out about a frame they receive. */
struct net_l4 {
    bool ipv4, ipv6, tcp, udp; /* tcp, udp: whole in this frame and with a checksum */
    bool bad_ip, bad_l4;       /* checksums that are wrong */
};
struct net_l4 net_check(const u8 *frame, u32 len);

/* A TCP packet larger than the cable takes: header (Ethernet, IP, TCP) and payload. */
struct net_tso {
    bool ipv6;
    u32 l3, l4; /* offsets of the IP and TCP headers */
    u32 header; /* bytes of all headers */
    u32 mss;    /* payload bytes of a segment, at least 16 */
    u32 most;   /* bytes of a frame, up to NET_JUMBO_MAX; 0: NET_FRAME_MAX */
};
/* Calls emit for each segment, with lengths, identification, sequence numbers, flags and checksums
 * of its own; the frame is valid during the call. At most len / mss + 1 calls. False, and none,
 * when the description does not fit the packet or a segment does not fit the cable. */
typedef void net_emit_fn(void *ctx, u8 *frame, u32 len);
bool net_segment(const u8 *packet, u32 len, const struct net_tso *t, net_emit_fn *emit, void *ctx);

#endif
