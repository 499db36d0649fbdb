/*
 * devices/e1000_phy.c - the 82540EM's EEPROM (a 64-word microwire device) and its built-in PHY.
 *
 * What it is: the four-wire protocol as drivers clock it through EECD, the EERD shortcut, MDIO
 * registers of a Marvell 88E1000-like PHY whose negotiation is over at once. What it is not: WRAL,
 * ERAL; cable tests; speeds other than 1000 Mb/s.
 *
 * Manual: SDM 5 (EEPROM map), 13.4.3 EECD, 13.4.4 EERD, 13.4.7 MDIC, 13.5 PHY registers; 93C46
 * data sheet (commands are a start bit, two bits of operation, six of address).
 */
#include "base/log.h"
#include "devices/e1000_priv.h"

enum {
    EECD_SK = BIT(0),
    EECD_CS = BIT(1),
    EECD_DI = BIT(2),
    EECD_DO = BIT(3),
    EECD_FWE = BIT(4) | BIT(5),
    EECD_REQ = BIT(6),
    EECD_GNT = BIT(7),
    EECD_PRES = BIT(8),

    EERD_START = BIT(0),
    EERD_DONE = BIT(4),

    MDIC_WRITE = BIT(26),
    MDIC_READ = BIT(27),
    MDIC_READY = BIT(28),
    MDIC_INT = BIT(29),
    MDIC_ERROR = BIT(30),
};
enum { EE_COMMAND_BITS = 9, EE_WRITE_BITS = 25 };
enum { EE_OP_CONTROL, EE_OP_WRITE, EE_OP_READ, EE_OP_ERASE };

/* The words up to the last one give 0xbaba together with it (SDM 5.6.35). */
void e1000_eeprom_init(struct e1000 *s)
{
    u16 sum = 0;
    memset(s->eeprom, 0xff, sizeof(s->eeprom));
    for (int k = 0; k < 3; k++)
        s->eeprom[k] = ld_u16(s->mac + 2 * k);
    s->eeprom[0x03] = 0x0000;
    s->eeprom[0x08] = 0xa64c; /* part number */
    s->eeprom[0x09] = 0x0001;
    s->eeprom[0x0a] = 0x4003; /* valid; ids are here */
    s->eeprom[0x0b] = 0x001e; /* subsystem, its vendor */
    s->eeprom[0x0c] = 0x8086;
    s->eeprom[0x0d] = 0x100e;
    s->eeprom[0x0e] = 0x8086;
    s->eeprom[0x0f] = 0x3000; /* pause: both directions */
    for (int k = 0; k < E1000_EEPROM_WORDS - 1; k++)
        sum = (u16)(sum + s->eeprom[k]);
    s->eeprom[E1000_EEPROM_WORDS - 1] = (u16)(0xbaba - sum);
}

/* ---- microwire ------------------------------------------------------------------------------ */
static void ee_command(struct e1000 *s)
{
    u32 op = s->ee_in >> 6 & 3, addr = s->ee_in & 63;
    s->ee_do = op != EE_OP_READ; /* a read gives a 0 before the data */
    if (op == EE_OP_CONTROL && addr >> 4 == 3)
        s->ee_writable = true;
    else if (op == EE_OP_CONTROL && addr >> 4 == 0)
        s->ee_writable = false;
    else if (op == EE_OP_ERASE && s->ee_writable)
        s->eeprom[addr] = 0xffff;
}

/* The clock rises with the device selected. */
static void ee_clock(struct e1000 *s, bool in)
{
    if (s->ee_bits < EE_COMMAND_BITS) {
        if (!s->ee_bits && !in) /* before the start bit */
            return;
        s->ee_in = s->ee_in << 1 | in;
        if (++s->ee_bits == EE_COMMAND_BITS)
            ee_command(s);
        return;
    }
    if (s->ee_bits == EE_COMMAND_BITS && (s->ee_in >> 6 & 3) == EE_OP_READ) {
        u32 addr = s->ee_in & 63;
        s->ee_do = s->eeprom[addr] >> (15 - s->ee_out) & 1;
        s->ee_out = (s->ee_out + 1) & 15;
        if (!s->ee_out) /* goes on with the next word */
            s->ee_in = (s->ee_in & ~63u) | ((addr + 1) & 63);
        return;
    }
    if (s->ee_bits == EE_WRITE_BITS)
        return;
    s->ee_in = s->ee_in << 1 | in;
    if (++s->ee_bits == EE_WRITE_BITS && (s->ee_in >> 22 & 3) == EE_OP_WRITE && s->ee_writable)
        s->eeprom[s->ee_in >> 16 & 63] = (u16)s->ee_in;
}

u32 e1000_eecd_read(const struct e1000 *s)
{
    return (s->eecd & ~(u32)EECD_DO) | EECD_PRES | (s->eecd & EECD_REQ ? EECD_GNT : 0) |
           (s->ee_do ? EECD_DO : 0);
}

void e1000_eecd_write(struct e1000 *s, u32 val)
{
    u32 old = s->eecd;
    s->eecd = val & (EECD_SK | EECD_CS | EECD_DI | EECD_FWE | EECD_REQ);
    if (!(val & EECD_CS)) {
        s->ee_bits = s->ee_out = 0;
        s->ee_in = 0;
        s->ee_do = true; /* ready */
    } else if (val & ~old & EECD_SK) {
        ee_clock(s, val & EECD_DI);
    }
}

void e1000_eerd_write(struct e1000 *s, u32 val)
{
    s->eerd = val & 0xff00;
    if (val & EERD_START)
        s->eerd |= EERD_DONE | (u32)s->eeprom[val >> 8 & 63] << 16;
}

/* ---- PHY ------------------------------------------------------------------------------------ */
enum {
    PHY_ADDRESS = 1,
    PHY_CTRL = 0,
    PHY_STATUS = 1,
    PHY_LP = 5,
    PHY_1000_STATUS = 10,
    PHY_SPEC_STATUS = 17,
    PHY_CTRL_RESET = 0x8000,
    PHY_CTRL_RESTART = 0x0200,
};

void e1000_phy_reset(struct e1000 *s)
{
    static const struct {
        u8 reg;
        u16 val;
    } init[] = {
        {PHY_CTRL, 0x1140},   /* 1000 Mb/s, full duplex, negotiates */
        {PHY_STATUS, 0x7949}, /* what it can do; link and negotiation are added when read */
        {2, 0x0141},          /* Marvell 88E1000, as integrated */
        {3, 0x0c20},          {4, 0x0de1}, /* what it offers */
        {6, 0x0005},          {7, 0x2001}, {9, 0x0e00}, {15, 0x3000}, {16, 0x0068}, {20, 0x0c60},
    };
    memset(s->phy, 0, sizeof(s->phy));
    for (size_t k = 0; k < ARRAY_LEN(init); k++)
        s->phy[init[k].reg] = init[k].val;
}

static u16 phy_read(const struct e1000 *s, u32 reg)
{
    bool cable = s->net && !s->net->link_down;
    switch (reg) {
    case PHY_STATUS:
        return (u16)(s->phy[reg] | (cable ? 0x0024 : 0)); /* link, negotiation complete */
    case PHY_LP:
        return cable ? 0x45e1 : 0;
    case PHY_1000_STATUS:
        return cable ? 0x7c00 : 0; /* both receivers well, partner does 1000 */
    case PHY_SPEC_STATUS:
        return cable ? 0xac00 : 0x8000; /* 1000 Mb/s, full duplex, resolved, link */
    default:
        return s->phy[reg];
    }
}

static void phy_write(struct e1000 *s, u32 reg, u16 val)
{
    static const u16 writable[E1000_PHY_REGS] = {
        [PHY_CTRL] = 0x7dc0, [4] = 0xffff,  [7] = 0xb7ff,  [9] = 0xff00,  [16] = 0xffff,
        [18] = 0xffff,       [20] = 0xffff, [24] = 0xffff, [29] = 0xffff, [30] = 0xffff,
    };
    if (reg == PHY_CTRL && (val & PHY_CTRL_RESET)) {
        e1000_phy_reset(s);
        return;
    }
    s->phy[reg] = (u16)((s->phy[reg] & ~writable[reg]) | (val & writable[reg]));
    if (reg == PHY_CTRL && (val & PHY_CTRL_RESTART) && e1000_link_up(s))
        e1000_cause(s, ICR_LSC);
}

void e1000_mdic_write(struct e1000 *s, u32 val)
{
    u32 reg = val >> 16 & 31;
    s->mdic = (val & 0x2fffffff) | MDIC_READY;
    if ((val >> 21 & 31) != PHY_ADDRESS)
        s->mdic |= MDIC_ERROR;
    else if (val & MDIC_READ)
        s->mdic = (s->mdic & 0xffff0000) | phy_read(s, reg);
    else if (val & MDIC_WRITE)
        phy_write(s, reg, (u16)val);
    if (val & MDIC_INT)
        e1000_cause(s, ICR_MDAC);
}
