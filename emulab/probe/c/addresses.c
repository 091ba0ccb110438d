/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Data accesses of a block: their addresses from the registers at its entry, their counts per region, their price. What
 * its divisions take, from the same registers. */
#include "probe_state.h"
#include <string.h>

static inline int load(const em_probe_state *p, uint32_t address, uint32_t size, uint32_t *value) {
    const em_region *r = em_region_of(p, address);
    if (!r || !r->host || (address & 0xFFF) + size > 0x1000) return 0;
    const uint8_t *at = r->host + (address - r->base);
    uint16_t half;
    switch (size) {
    case 1: *value = *at; break;
    case 2: memcpy(&half, at, 2); *value = half; break;
    default: memcpy(value, at, 4);
    }
    return 1;
}

static inline uint32_t operate(const em_op *o, uint32_t x, uint32_t y) {
    switch (o->op) {
    case EM_CONST: return (uint32_t)o->immediate;
    case EM_ADD: return x + y;
    case EM_SUB: return x - y;
    case EM_MUL: return x * y;
    case EM_AND: return x & y;
    case EM_OR: return x | y;
    case EM_XOR: return x ^ y;
    case EM_BIC: return x & ~y;
    case EM_SHL: return (y & 0xFF) > 31 ? 0 : x << (y & 31);
    case EM_SHR: return (y & 0xFF) > 31 ? 0 : x >> (y & 31);
    case EM_SAR: return (uint32_t)((int32_t)x >> ((y & 0xFF) > 31 ? 31 : (y & 31)));
    case EM_UDIV: return y ? x / y : 0;
    case EM_SDIV: return y ? (uint32_t)((int64_t)(int32_t)x / (int32_t)y) : 0;
    case EM_UMULH: return (uint32_t)((uint64_t)x * y >> 32);
    case EM_SMULH: return (uint32_t)((uint64_t)((int64_t)(int32_t)x * (int32_t)y) >> 32);
    case EM_SHLI: return x << (o->immediate & 31);
    case EM_SHRI: return x >> (o->immediate & 31);
    case EM_SARI: return (uint32_t)((int32_t)x >> (o->immediate & 31));
    case EM_SEXT8: return (uint32_t)(int8_t)x;
    default: return (uint32_t)(int16_t)x; /* EM_SEXT16 */
    }
}

/* Runs the block's address program; slots that could not be computed, and what follows from them, are bad. */
static void compute(const em_probe_state *p, const em_block *b, uint32_t *slot, uint8_t *bad) {
    for (uint32_t i = 0; i < b->operations; i++) {
        const em_op *o = &b->operation[i];
        uint32_t x = slot[o->a], v = 0;
        uint8_t wrong = bad[o->a];
        if (o->op >= EM_LOAD8) {
            uint32_t size = o->op == EM_LOAD32 ? 4 : o->op == EM_LOAD16 || o->op == EM_LOADS16 ? 2 : 1;
            if (!wrong && !load(p, x + (uint32_t)o->immediate, size, &v)) wrong = 1;
            if (o->op == EM_LOADS8) v = (uint32_t)(int8_t)v;
            if (o->op == EM_LOADS16) v = (uint32_t)(int16_t)v;
        } else {
            v = operate(o, x, slot[o->b]);
            if (o->op == EM_CONST) wrong = 0;
            else if (o->op < EM_SHLI) wrong |= bad[o->b];
        }
        slot[o->to] = v;
        bad[o->to] = wrong;
    }
}

/* The same where every load of it can be followed, else 0. */
static int compute_all(const em_probe_state *p, const em_block *b, uint32_t *slot) {
    const em_op *o = b->operation, *end = o + b->operations;
    for (; o < end; o++) {
        uint32_t x = slot[o->a], y = slot[o->b], v = 0;
        switch (o->op) {
        case EM_LOAD8:
        case EM_LOADS8:
            if (!load(p, x + (uint32_t)o->immediate, 1, &v)) return 0;
            if (o->op == EM_LOADS8) v = (uint32_t)(int8_t)v;
            break;
        case EM_LOAD16:
        case EM_LOADS16:
            if (!load(p, x + (uint32_t)o->immediate, 2, &v)) return 0;
            if (o->op == EM_LOADS16) v = (uint32_t)(int16_t)v;
            break;
        case EM_LOAD32:
            if (!load(p, x + (uint32_t)o->immediate, 4, &v)) return 0;
            break;
        default: v = operate(o, x, y);
        }
        slot[o->to] = v;
    }
    return 1;
}

static uint32_t bits_of(uint32_t x, int is_signed) {
    if (is_signed && x >> 31) x = 0 - x;
    return x ? 32 - (uint32_t)__builtin_clz(x) : 0;
}

/* What the divisions of *b* take; bad == NULL: every slot is known. */
static uint64_t divisions(const em_probe_state *p, const em_block *b, const uint32_t *value, const uint8_t *bad) {
    const em_divider *law = &p->divider;
    uint64_t total = 0;
    for (uint32_t i = 0; i < b->divides; i++) {
        const em_divide *d = &b->divide[i];
        if (bad && (bad[d->dividend] | bad[d->divisor])) {
            total += law->unknown_q8;
            continue;
        }
        uint32_t above = bits_of(value[d->dividend], d->is_signed), below = bits_of(value[d->divisor], d->is_signed);
        if (!above || !below) total += law->zero_q8;
        else if (above < below) total += law->smaller_q8;
        else total += law->base_q8 + ((above - below) / law->bits << 8);
    }
    return total;
}

static inline void count_group(em_region_count *count, const em_group *g) {
    count->reads += g->reads;
    count->writes += g->writes;
    count->bytes_read += g->bytes_read;
    count->bytes_written += g->bytes_written;
}

/* The engine is told to stop before the block where one of its accesses is not allowed. */
static void check(em_probe_state *p, const em_block *b, const em_access *a, uint32_t address) {
    em_probe *f = &p->face;
    for (uint32_t i = 0; i < p->guards; i++) {
        const em_guard *g = &p->guard[i];
        if (address + (a->size - 1u) < g->start || address > g->last || !(g->access & (a->write ? 2 : 1))) continue;
        if (f->reason == EM_GUARDED) return;
        f->reason = EM_GUARDED;
        f->stop_address = b->address, f->stop_size = b->size;
        f->exception = a->instruction, f->guarded_address = address;
        if (f->stop) f->stop(f->engine);
        return;
    }
}

/* Access by access where it must be: the general way. */
static uint64_t data_plain(em_probe_state *p, const em_block *b) {
    em_probe *f = &p->face;
    uint32_t slot[EM_SLOTS];
    uint8_t bad[EM_SLOTS];
    const uint32_t *value = f->registers;
    uint64_t stall = 0;
    int one_by_one = 0;
    p->devices = p->device_next = 0;
    if (b->operations || !value) {
        for (uint32_t i = 0; i < EM_REGISTERS; i++) slot[i] = value ? value[i] : f->read_register(f->engine, i);
        memset(bad, 0, sizeof bad);
        if (b->operations) compute(p, b, slot, bad);
        value = slot;
    } else memset(bad, 0, EM_REGISTERS);
    p->divide_q8 = divisions(p, b, value, bad);
    for (uint32_t i = 0; i < b->groups; i++) {
        const em_group *g = &b->group[i];
        uint32_t base = value[g->slot];
        const em_region *low = em_region_of(p, base + (uint32_t)g->low);
        if (bad[g->slot] || !low || low->tracked || low->device || low->guarded || em_region_of(p, base + (uint32_t)g->high) != low) {
            one_by_one = 1;
            bad[g->slot] |= 2; /* access by access below */
            continue;
        }
        count_group(&f->region[low->counter], g);
    }
    if (!one_by_one) return 0;
    for (uint32_t i = 0; i < b->accesses; i++) {
        const em_access *a = &b->access[i];
        if (!(bad[a->slot] & 2)) continue;
        uint32_t address = value[a->slot] + (uint32_t)a->offset;
        const em_region *r = bad[a->slot] & 1 ? NULL : em_region_of(p, address);
        if (!r) {
            f->unresolved++;
            continue;
        }
        em_count_access(&f->region[r->counter], a->size, a->write);
        if (EM_UNLIKELY(r->guarded)) check(p, b, a, address);
        if (r->device) {
            if (p->devices < EM_DEVICE_LIMIT)
                p->device[p->devices++] = (em_device_access){address, a->instruction, a->write};
        } else if (r->tracked) {
            if (a->instruction < b->prefixes) em_at(f->memory, b->prefix_q8[a->instruction]);
            stall += em_data(f->memory, b->address + 4u * a->instruction, address, a->size, a->write);
        }
    }
    return stall;
}

/* In order, each with what it needs of the memory simulator. */
static uint64_t price_each(em_probe_state *p, const em_block *b, const uint32_t *value, const em_region *const *region) {
    em_memsim *m = p->face.memory;
    uint64_t stall = 0;
    for (uint32_t i = 0; i < b->accesses; i++) {
        const em_access *a = &b->access[i];
        const em_region *r = region[b->access_group[i]];
        if (!r->tracked) continue;
        uint32_t address = value[a->slot] + (uint32_t)a->offset, pc = b->address + 4u * a->instruction;
        uint32_t cost = em_quick_data(m, r->route, b->prefix_q8[a->instruction], pc, address, a->size, a->write);
        if (EM_UNLIKELY(cost == EM_NOT_QUICK)) {
            em_at(m, b->prefix_q8[a->instruction]);
            cost = em_data(m, pc, address, a->size, a->write);
        }
        stall += cost;
    }
    return stall;
}

uint64_t em_block_data(em_probe_state *p, const em_block *b) {
    const uint32_t *value = p->face.registers;
    const em_region *region[EM_GROUP_LIMIT];
    uint32_t slot[EM_SLOTS], each = 0;
    if (!b->quick) return data_plain(p, b);
    if (b->operations) {
        memcpy(slot, value, EM_REGISTERS * sizeof *slot);
        if (!compute_all(p, b, slot)) return data_plain(p, b);
        value = slot;
    }
    for (uint32_t i = 0; i < b->groups; i++) {
        const em_group *g = &b->group[i];
        uint32_t base = value[g->slot], index = p->page[(base + (uint32_t)g->low) >> 12];
        const em_region *r = region[i] = &p->region[index];
        if (EM_UNLIKELY(!r->quick || p->page[(base + (uint32_t)g->high) >> 12] != index)) return data_plain(p, b);
        each |= (r->bus ^ region[0]->bus) | !r->quiet | (r->tracked & (((base & g->align) | g->odd) != 0));
    }
    for (uint32_t i = 0; i < b->groups; i++) count_group(&p->face.region[region[i]->counter], &b->group[i]);
    if (EM_UNLIKELY(b->divides)) p->divide_q8 = divisions(p, b, value, NULL);
    if (!b->groups) return 0;
    uint32_t bus = region[0]->bus;
    if (bus && !each) { /* all on one bus: only the first can cost anything */
        em_memsim *m = p->face.memory;
        each = m->data_bus && (m->data_bus << 16 | m->data_slave) != bus;
        if (!each) {
            m->data_bus = bus >> 16;
            m->data_slave = bus & 0xFFFF;
            m->data_pc = b->last_pc;
        }
    }
    return EM_UNLIKELY(each) ? price_each(p, b, value, region) : 0;
}
