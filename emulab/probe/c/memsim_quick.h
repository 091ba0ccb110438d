/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The memory simulator's short ways: what costs nothing, or one line of a cache, is priced here, in line with the caller.
 *
 * Each leaves the state in which em_fetch or em_data would have left it, and declines, before it changes anything, what
 * it does not cover. Exact because a hit changes nothing but the order of use: stamps are given in the same order, once
 * per line of a fetch instead of once per look-up, and not at all where the same lines were used last. */
#ifndef EMULAB_MEMSIM_QUICK_H
#define EMULAB_MEMSIM_QUICK_H
#include "memsim_state.h"

#define EM_LIKELY(x) __builtin_expect(!!(x), 1)
#define EM_UNLIKELY(x) __builtin_expect(!!(x), 0)

typedef struct em_plan_line {
    em_way *way;
    uint32_t tag, valid;
} em_plan_line;

/* Where the lines of a block were when it was fetched last. */
typedef struct em_fetch_plan {
    em_cache *cache; /* NULL: none */
    em_plan_line *line;
    uint32_t lines, room, granules; /* granules: look-ups */
} em_fetch_plan;

/* Makes a plan for [address, address+size) from what is in the cache; none where a part is missing. */
void em_plan_fetch(em_memsim *, em_fetch_plan *, uint32_t address, uint32_t size);

static inline void em_quick_execute(em_memsim *m, uint32_t cycles_q8) {
    m->now += m->executing;
    m->executing = cycles_q8;
    m->accesses = 0;
}

/* When a fetch is asked for that is needed at `needed`: the fetch unit runs ahead of execution as far as its buffer reaches. */
static inline uint64_t em_asked(const em_memsim *m, uint64_t needed) {
    uint64_t asked = needed > m->ahead_q8 ? needed - m->ahead_q8 : 0;
    if (asked < m->fetched) asked = m->fetched < needed ? m->fetched : needed;
    return asked;
}

/* The fetch of a block whose lines are all there and not being filled: it costs nothing. 0: not so, call em_fetch. */
static inline int em_quick_fetch(em_memsim *m, em_fetch_plan *plan, int sequential) {
    em_cache *c = plan->cache;
    if (!c) return 0;
    uint64_t asked = sequential ? em_asked(m, m->now) : m->now;
    if (c->fill_end > asked) return 0;
    if (c->recent != plan) {
        if (!c->on) return 0;
        const em_plan_line *l = plan->line, *end = l + plan->lines;
        for (; l < end; l++)
            if (l->way->tag != l->tag || l->valid & ~l->way->valid) return 0;
        for (l = plan->line; l < end; l++) l->way->used = ++c->clock;
        c->recent = plan;
    }
    c->hits[0] += plan->granules;
    /* Those that follow are asked for later, but not so late that it shows: what is fetched next is needed later still. */
    m->fetched = asked;
    return 1;
}

enum { EM_NOT_QUICK = 0xFFFFFFFFu };

/* em_at(offset_q8) and em_data on an address of region *r: stall cycles, or EM_NOT_QUICK. */
static inline uint32_t em_quick_data(em_memsim *m, const em_route *r, uint32_t offset_q8, uint32_t pc, uint32_t address,
                                     uint32_t size, int is_write) {
    int kind = is_write ? WRITE : READ;
    uint32_t quick = r->quick[kind], lost = 0;
    if (quick == QUICK_NEVER || m->single_q8 || (m->unaligned && address & (size - 1))) return EM_NOT_QUICK;
    if (r->bus && m->data_bus) {
        if (r->bus != m->data_bus) lost = pc - m->data_pc - 1 < 4 ? m->other_bus_q8 : 0;
        else if (r->slave != m->data_slave) lost = m->other_slave_q8;
    }
    if (quick == QUICK_CACHED) {
        em_cache *c = &m->cache[r->unit[kind] - 1];
        uint32_t at = address - r->base + r->target, line = at >> c->line_shift;
        em_way *way = &c->way[c->hint[line % HINTS]];
        uint64_t t = m->now + (offset_q8 < m->executing ? offset_q8 : m->executing) + lost;
        if (!c->on || way->tag != line || !(way->valid >> ((at & (c->line - 1)) >> c->sector_shift) & 1) || c->fill_end > t ||
            (at ^ (at + size - 1)) & ~(c->sector - 1))
            return EM_NOT_QUICK;
        way->used = ++c->clock;
        way->dirty |= is_write && c->write_policy == WRITE_BACK;
        c->recent = NULL;
        c->hits[1]++;
    }
    if (r->bus) {
        m->data_bus = r->bus;
        m->data_slave = r->slave;
        m->data_pc = pc;
    }
    return lost ? em_stall(m, lost, &m->data_stalls) : 0;
}
#endif
