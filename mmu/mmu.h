/*
 * mmu/mmu.h - linear to physical: paging, the software TLB, and every access path to guest memory.
 *
 * You are here: one `struct mmu` per vCPU, embedded in it. The CPU tells it the paging registers
 * (mmu_set_regs) and asks for reads, writes and code pages by linear address. mmu/ never includes
 * cpu/: faults leave through the page_fault wire, which does not return.
 *
 * The TLB caches (view, page) -> host address. It may forget at any time; it must never remember
 * what the architecture lets software rely on having been flushed (Intel SDM vol. 3, 4.10).
 *
 * Thread: the owning vCPU's.
 */
#ifndef MMU_MMU_H
#define MMU_MMU_H

#include "base/bits.h"
#include "base/ledger.h"
#include "base/types.h"
#include "bus/space.h"

enum { TLB_BITS = 10, TLB_SIZE = 1 << TLB_BITS, ITLB_SIZE = 256, STLB_SIZE = 128, FILL_LOG = 512 };
enum { L2_BITS = 14, L2_SIZE = 1 << L2_BITS };

/* Who is asking. Explicit supervisor accesses are VIEW_SUP_AC while EFLAGS.AC is 1 or SMAP off. */
enum mmu_view {
    VIEW_USER,
    VIEW_SUP,
    VIEW_SUP_AC,
    VIEW_USER_AC, /* as VIEW_USER, never cached: the CPU checks alignment (#AC) on every access */
    VIEW_COUNT
};

enum mmu_access { ACC_READ, ACC_WRITE, ACC_FETCH };

/* Page-fault error code (SDM vol. 3, 4.7). */
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

/* 32 bytes; a tag is the page's linear address, or one that matches nothing: of a page that is
 * never looked up in the slot. */
struct tlb_entry {
    u64 rtag;
    u64 wtag;
    u64 add;  /* host address = gla + add */
    u64 host; /* of the page */
};
#define TLB_NONE 1ull
/* Arrays whose distance is a power of two are common; the fold keeps them apart. */
static always_inline u32 tlb_index(gla a)
{
    return (u32)((a >> PAGE_SHIFT) ^ (a >> (PAGE_SHIFT + TLB_BITS))) & (TLB_SIZE - 1);
}
static always_inline u64 tlb_none(u32 slot)
{
    return (u64)(slot ^ 1) << PAGE_SHIFT | TLB_NONE;
}
/* Whether [a, a + size) lies in the tag's page. */
static always_inline bool tlb_fits(u64 tag, gla a, u32 size)
{
    return (a ^ tag) <= PAGE_SIZE - size;
}
static always_inline bool tlb_is_none(u64 tag)
{
    return tag & TLB_NONE;
}
enum tlb_bits { TLB_GLOBAL = 1, TLB_LARGE = 2 };

/* What a page walk found, for pages that have no fast entry: devices, code pages, read-only. */
struct stlb_entry {
    u64 tag;
    gpa phys;
    u64 gen;
    u8 global, write_ok, large, giga;
    /* Plain RAM that only its page flags keep from a fast entry (cached code): where to store, and
     * whom to tell. NULL otherwise. */
    hva write;
    struct ram *ram;
    u64 ram_off;
};

/* The TLB's second level: plain RAM only. An entry says nothing about writes by itself: the page's
 * flags are asked when it goes to the first level, so that a page which gets code needs no look
 * here. */
struct l2_entry {
    u64 tag;  /* page | enum mmu_view */
    u64 gen;  /* L2_ bits | gens[] of L2_GLOBAL: valid while that stands */
    hva host; /* of the page */
    const u8 *flags;
};
#define L2_GLOBAL   BIT64(63)
#define L2_WRITE_OK BIT64(62)
#define L2_LARGE    BIT64(61)

struct itlb_entry {
    u64 tag;
    gpa phys;
    const u8 *host;  /* the page's bytes, NULL: not plain memory */
    struct ram *ram; /* NULL: ROM or device */
    u64 ram_off;
    u64 gen; /* valid while it equals gens[global] */
    u8 global;
};

/* The translator's first cache: an entry belongs to places in the code (sites), not to addresses,
 * so that an access needs no lookup but one comparison. Entries are copies of TLB entries and end
 * with them. For code of CPL 3 only: what runs between two flushes in the kernel seldom passes the
 * same place twice. Separate ones for reads and writes. */
enum { SITES = 256, SITE_WRITES = 160 }; /* from SITE_WRITES on: writes */
struct site_cache {
    u64 tag[SITES];      /* of a page, or `none` */
    u64 add[SITES];      /* host address = gla + add */
    u16 patience[SITES]; /* misses until a place is told that it has too many */
    u32 last[SITES];     /* the low half of the vCPU's count of instructions at the last miss */
    u64 none;            /* a secret address that cannot exist */
    u8 used;             /* something was entered since the last clearing */
    u8 wild;             /* patience ended */
};

struct mmu {
    /* ---- registers, as mmu_set_regs was told ---- */
    u64 cr0, cr3, cr4, efer;
    u64 pdpte[4]; /* PAE's four, loaded by mmu_load_pdptes */
    gpa a20_mask; /* ANDed to every physical address */
    u8 phys_bits; /* MAXPHYADDR, 32..52 */
    bool has_nx, has_pse36, has_gbpages;

    /* ---- wires ---- */
    struct space *mem;
    void *ctx;
    noreturn void (*page_fault)(void *ctx, gla addr, u32 error_code);
    /* Data breakpoints: pages for which watch_page says true are never cached and every access
     * to them calls watch. NULL: none. */
    bool (*watch_page)(void *ctx, gla page);
    void (*watch)(void *ctx, gla addr, int size, bool write);
    /* The page each vCPU sees for itself (its local APIC); local_dev NULL: none. */
    gpa local_page;
    struct device *local_dev;

    /* ---- counters ---- */
    u64 misses, walks, io_accesses;
    struct ledger *ledger; /* what exits cost; NULL: nobody asks */
    /* [0] changes at every flush, [1] only when global translations may have changed too. What
     * was derived from a translation stays true while its gens[global] stands. */
    u64 gens[2];
    /* Secret numbers, new when a generation ends, that make the translator's remembered jump
     * targets unfindable: [0] at each end of gens[0], for CPL 3; [1] for the kernel at that of
     * gens[1], and at each once the kernel was seen to have code that is not global. */
    u64 salt[2];
    u64 salt_state;
    bool local_kernel;

    /* ---- the caches ---- */
    struct space_span span[2]; /* plain RAM, whole pages; emptied by mmu_flush_all */
    u8 span_turn;              /* which of them was filled last */
    u32 fill_count; /* non-global slots filled since the last flush; > FILL_LOG: too many to list */
    u16 fill_log[FILL_LOG];
    u8 large_map[512]; /* which 2 MiB regions (hashed) may have entries of a large page */
    u8 giga_map[64];   /* the same for 1 GiB regions */
    /* Where code was fetched since both gens changed: by page, by 4 MiB region for large pages. */
    u8 code_pages[1024], code_large[64];
    bool code_giga;
    struct stlb_entry stlb[VIEW_COUNT][STLB_SIZE];
    struct tlb_entry tlb[VIEW_COUNT][TLB_SIZE];
    u8 tlb_bits[VIEW_COUNT * TLB_SIZE];   /* enum tlb_bits of each */
    struct itlb_entry itlb[2][ITLB_SIZE]; /* VIEW_USER, VIEW_SUP */
    struct site_cache sites;
    struct l2_entry l2[L2_SIZE];
};

/* mem must outlive the mmu. Paging off, A20 on. */
void mmu_init(struct mmu *m, struct space *mem);

/* New CR0, CR3, CR4 or EFER, already checked by the CPU; flushes what the change requires.
 * keep: CR3 bit 63 was set (PCID), or nothing that affects translation changed. */
void mmu_set_regs(struct mmu *m, u64 cr0, u64 cr3, u64 cr4, u64 efer);
/* Reads the PDPTEs that cr3 points to; false (nothing changed) when one is malformed: #GP(0). */
bool mmu_load_pdptes(struct mmu *m, u64 cr3);

/* The kernel has code that is not global; and salts that nobody knows, from a secret. */
void mmu_set_local_kernel(struct mmu *m);
void mmu_seed_salts(struct mmu *m, u64 secret);

/* Forgets the translator's cache. */
void mmu_clear_sites(struct mmu *m);

void mmu_flush_all(struct mmu *m); /* with global entries */
void mmu_flush_nonglobal(struct mmu *m);
void mmu_flush_page(struct mmu *m, gla addr);
/* RAM page at ram_off now holds code: no fast writes to it any more. */
void mmu_drop_writable(struct mmu *m, const struct ram *ram, u64 ram_off);
void mmu_set_a20(struct mmu *m, bool on);

static always_inline struct tlb_entry *mmu_slot(struct mmu *m, int view, gla a)
{
    return &m->tlb[view][tlb_index(a)];
}

static always_inline struct l2_entry *mmu_l2_slot(struct mmu *m, int view, gla a)
{
    u64 n = a >> PAGE_SHIFT;
    return &m->l2[(n ^ n >> L2_BITS ^ (u64)view << (L2_BITS - 2)) & (L2_SIZE - 1)];
}

/* Makes page's entry in the first level; counted, so that a flush finds it. */
static always_inline void mmu_enter(struct mmu *m, int view, gla page, hva host, bool write,
                                    bool global, bool large)
{
    u32 n = (u32)view * TLB_SIZE + tlb_index(page);
    struct tlb_entry *e = &m->tlb[0][0] + n;
    e->rtag = page;
    e->wtag = write ? page : tlb_none(tlb_index(page));
    e->add = (u64)(uintptr_t)host - page;
    e->host = (u64)(uintptr_t)host;
    m->tlb_bits[n] = (u8)((global ? TLB_GLOBAL : 0) | (large ? TLB_LARGE : 0));
    if (!global) {
        if (m->fill_count < FILL_LOG)
            m->fill_log[m->fill_count] = (u16)n;
        if (m->fill_count <= FILL_LOG)
            m->fill_count++;
    }
}

/* The first level's entry for a from the second. False: not there, or not for this access. */
static always_inline bool mmu_refill(struct mmu *m, int view, gla a, bool write)
{
    gla page = a & PAGE_MASK;
    const struct l2_entry *e = mmu_l2_slot(m, view, a);
    if (e->tag != (page | (u64)view) ||
        (e->gen & ~(L2_GLOBAL | L2_WRITE_OK | L2_LARGE)) != m->gens[e->gen >> 63])
        return false;
    bool may_write = (e->gen & L2_WRITE_OK) && !*e->flags;
    if (write && !may_write)
        return false;
    mmu_enter(m, view, page, e->host, may_write, e->gen & L2_GLOBAL, e->gen & L2_LARGE);
    return true;
}

/* ---- data. size 1, 2, 4, 8; any alignment; may fault (does not return) ---------------------- */
u64 mmu_read_slow(struct mmu *m, int view, gla a, int size);
void mmu_write_slow(struct mmu *m, int view, gla a, u64 val, int size);
/* Where to read-modify-write [a, a+size) in place, size 1..64: the host address after all
 * permission checks, or NULL when it is not one plain RAM page (device, code page, page crossing,
 * watched): then use mmu_probe_write + read + write. */
hva mmu_rmw_slow(struct mmu *m, int view, gla a, int size);

static always_inline u64 mmu_read(struct mmu *m, int view, gla a, int size)
{
    struct tlb_entry *e = mmu_slot(m, view, a);
    if (likely(tlb_fits(e->rtag, a, (u32)size))) {
        const u8 *p = (const u8 *)(a + e->add);
        switch (size) {
        case 1:
            return *p;
        case 2:
            return ld_u16(p);
        case 4:
            return ld_u32(p);
        default:
            return ld_u64(p);
        }
    }
    return mmu_read_slow(m, view, a, size);
}

static always_inline void mmu_write(struct mmu *m, int view, gla a, u64 val, int size)
{
    struct tlb_entry *e = mmu_slot(m, view, a);
    if (likely(tlb_fits(e->wtag, a, (u32)size))) {
        u8 *p = (u8 *)(a + e->add);
        switch (size) {
        case 1:
            *p = (u8)val;
            return;
        case 2:
            st_u16(p, (u16)val);
            return;
        case 4:
            st_u32(p, (u32)val);
            return;
        default:
            st_u64(p, val);
            return;
        }
    }
    mmu_write_slow(m, view, a, val, size);
}

static always_inline hva mmu_rmw(struct mmu *m, int view, gla a, int size)
{
    struct tlb_entry *e = mmu_slot(m, view, a);
    if (likely(tlb_fits(e->wtag, a, (u32)size)))
        return (hva)(a + e->add);
    return mmu_rmw_slow(m, view, a, size);
}

/* Host address to read [a, a+size) from, or NULL when it is not in one plain page. May fault. */
const u8 *mmu_read_ptr_slow(struct mmu *m, int view, gla a, int size);
static always_inline const u8 *mmu_read_ptr(struct mmu *m, int view, gla a, int size)
{
    struct tlb_entry *e = mmu_slot(m, view, a);
    if (likely(tlb_fits(e->rtag, a, (u32)size)))
        return (const u8 *)(a + e->add);
    return mmu_read_ptr_slow(m, view, a, size);
}

/* Raises the fault that reading / writing [a, a+len) would raise, and does nothing else. len <=
 * 4096. */
void mmu_probe_read(struct mmu *m, int view, gla a, u32 len);
void mmu_probe_write(struct mmu *m, int view, gla a, u32 len);
/* Any length up to 4096; faults before anything is written. */
void mmu_read_bytes(struct mmu *m, int view, gla a, void *buf, u32 len);
void mmu_write_bytes(struct mmu *m, int view, gla a, const void *buf, u32 len);

/* ---- code ------------------------------------------------------------------------------------ */
/* The page that holds a, for instruction fetch; may fault (ACC_FETCH). view USER or SUP. */
const struct itlb_entry *mmu_fetch_page(struct mmu *m, int view, gla a);
/* The same, if it is known already; NULL: ask mmu_fetch_page. */
static always_inline const struct itlb_entry *mmu_fetched_page(const struct mmu *m, int view, gla a)
{
    const struct itlb_entry *e = &m->itlb[view != VIEW_USER][(a >> PAGE_SHIFT) & (ITLB_SIZE - 1)];
    return likely(e->tag == (a & PAGE_MASK) && e->gen == m->gens[e->global]) ? e : NULL;
}

/* ---- debugger ------------------------------------------------------------------------------- */
/* Translates without side effects (no A/D, no fault). False: not mapped. */
bool mmu_peek(struct mmu *m, gla a, gpa *out);

#endif
