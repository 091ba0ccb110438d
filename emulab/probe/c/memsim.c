/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What memory costs: regions that lead to caches that lead to devices, on one clock of 1/256 cycle.
 *
 * Configuration, 32-bit words (written by emulab/timing/memory.py):
 *   HEADER  version, regions, caches, devices, unaligned mode, unaligned boundary, unaligned penalty q8, data step q8,
 *           BTB entries, counters, history bits, mispredict q8, BTB miss q8, return stack depth, fetch ahead q8,
 *           other bus q8, other slave q8, 3 reserved
 *   REGION  base, size, target base, fetch unit, read unit, write unit, fetch q8, read q8, write q8, store hold q8, bus (0: not told), slave, unit of the memory itself
 *   CACHE   name (4 words of characters), unit behind, sets, ways, line bytes, sector bytes, control, initially on,
 *           replacement, fill, miss q8, write policy, hit under miss, victim write q8, reserved
 *   DEVICE  name (4 words), line bytes, wait states, wait states set by firmware, beat q8, overhead q8, prefetch control,
 *           prefetch initially on, buffers, write q8, prefetch after data reads too
 * A unit is 0 (none), 1 + n (cache n), 257 + n (device n), or BACKING: behind a cache, the unit of the memory accessed.
 *
 * Time. em_execute tells the static cost of the block that starts; the clock then stands at its start. Fetches within
 * the block are needed in proportion to their offset, data accesses where em_at says (else one "data step" after the other); what a prefetch or a
 * line fill does meanwhile costs nothing. */
#include "memsim_quick.h"
#include <stdlib.h>

void em_execute(em_memsim *m, uint32_t cycles_q8) { em_quick_execute(m, cycles_q8); }

/* First instant from t on when the array is free; an access under way is not broken off. */
static uint64_t array_free(const em_device *d, uint64_t t) {
    for (uint32_t i = 0; i < BUSY; i++)
        if (d->busy_from[i] <= t && t < d->busy_to[i]) {
            t = d->busy_to[i];
            i = NONE; /* look again from the first */
        }
    return t;
}

static void occupy(em_device *d, uint64_t from, uint64_t to) {
    d->busy_from[d->busy_next] = from;
    d->busy_to[d->busy_next] = to;
    d->busy_next = (d->busy_next + 1) % BUSY;
}

/* Time at which the line with address has arrived; the rest of a burst (`burst` bytes in all) keeps the device busy. */
static uint64_t read_device(em_device *d, uint32_t address, uint32_t burst, uint64_t t, int kind) {
    uint32_t line = address / d->line, buffer = d->buffers == 2 && kind != FETCH;
    uint64_t access_q8 = (uint64_t)d->wait_states * 256, ready = t;
    uint32_t lines = burst > d->line ? burst / d->line : 1;
    if (!d->buffers || d->current[buffer] != line || lines > 1) {
        uint64_t beat_q8 = d->beat_q8 ? d->beat_q8 : access_q8 + 256;
        d->reads++;
        if (d->pending == line) {
            ready = (d->pending_ready > t ? d->pending_ready : t) + d->overhead_q8;
            d->prefetch_hits++;
            d->pending = NONE;
            if (lines > 1) occupy(d, ready, ready + (lines - 1) * beat_q8);
        } else {
            uint64_t start = array_free(d, t);
            ready = start + access_q8 + d->overhead_q8;
            occupy(d, start, ready + (lines - 1) * beat_q8);
        }
        d->current[buffer] = line;
    }
    if (d->prefetch && (kind == FETCH || d->prefetch_data) && d->pending != line + lines && d->current[buffer] != line + lines) {
        uint64_t start = array_free(d, ready);
        d->pending = line + lines;
        d->pending_ready = start + access_q8 + 256;
        occupy(d, start, d->pending_ready);
    }
    return ready;
}

static uint32_t victim(em_cache *c, em_way *set) {
    uint32_t best = 0;
    for (uint32_t i = 0; i < c->ways; i++)
        if (set[i].tag == NONE) return i;
    switch (c->replacement) {
    case REPLACE_ROUND_ROBIN: return c->next++ % c->ways;
    case REPLACE_RANDOM: c->next = c->next * 1664525u + 1013904223u; return (c->next >> 16) % c->ways;
    case REPLACE_PLRU: /* not the most recently used one, round robin among the others */
        for (uint32_t i = 1; i < c->ways; i++)
            if (set[i].used > set[best].used) best = i;
        return c->ways == 1 ? 0 : (best + 1 + c->next++ % (c->ways - 1)) % c->ways;
    default:
        for (uint32_t i = 1; i < c->ways; i++)
            if (set[i].used < set[best].used) best = i;
        return best;
    }
}

static uint64_t access_unit(em_memsim *m, uint32_t unit, uint32_t address, uint32_t burst, uint64_t t, int kind);

static uint64_t access_cache(em_memsim *m, em_cache *c, uint32_t address, uint64_t t, int kind) {
    uint32_t line = address >> c->line_shift, sector = (address & (c->line - 1)) >> c->sector_shift, bit = 1u << sector;
    em_way *set = c->way + (line & (c->sets - 1)) * c->ways, *found = NULL;
    c->recent = NULL;
    if (c->way[c->hint[line % HINTS]].tag == line) found = &c->way[c->hint[line % HINTS]];
    else
        for (uint32_t i = 0; i < c->ways; i++)
            if (set[i].tag == line) {
                found = &set[i];
                c->hint[line % HINTS] = (uint16_t)(found - c->way);
                break;
            }
    int data = kind != FETCH;
    if (found && found->valid & bit) {
        found->used = ++c->clock;
        c->hits[data]++;
        if (kind == WRITE && c->write_policy == WRITE_BACK) found->dirty = 1;
        if (c->fill_end > t) {
            if (c->filling == line) {
                uint32_t sectors = c->line / c->sector;
                uint64_t ready = c->fill_start + ((sector - c->fill_first) & (sectors - 1)) * c->fill_beat;
                return ready > t ? ready : t;
            }
            if (!c->hit_under_miss) return c->fill_end;
        }
        return t;
    }
    if (kind == WRITE && c->write_policy != WRITE_BACK) return t; /* around the cache; the write buffer is the region's */
    c->misses[data]++;
    if (c->fill_end > t) t = c->fill_end; /* one fill at a time */
    if (!found) {
        found = &set[victim(c, set)];
        if (found->dirty) t += c->victim_q8;
        *found = (em_way){line, 0, 0, 0};
        c->hint[line % HINTS] = (uint16_t)(found - c->way);
    }
    found->used = ++c->clock;
    if (kind == WRITE) found->dirty = 1;
    uint32_t start = address & ~(c->sector - 1);
    if (c->fill == FILL_SECTOR) {
        found->valid |= bit;
        return access_unit(m, c->behind, start, c->sector, t, kind == WRITE ? READ : kind) + c->miss_q8;
    }
    uint32_t sectors = c->line / c->sector;
    uint64_t ready = access_unit(m, c->behind, start, c->line, t, kind == WRITE ? READ : kind) + c->miss_q8;
    uint64_t beat_q8 = 256;
    uint32_t behind = c->behind == BACKING ? m->backing : c->behind;
    if (behind >= 257) {
        const em_device *d = &m->device[behind - 257];
        uint64_t per_line = d->beat_q8 ? d->beat_q8 : (uint64_t)(d->wait_states + 1) * 256;
        beat_q8 = c->sector >= d->line ? per_line * (c->sector / d->line) : per_line * c->sector / d->line;
    }
    found->valid = c->full;
    c->filling = line;
    c->fill_first = sector;
    c->fill_start = ready;
    c->fill_beat = beat_q8;
    c->fill_end = ready + (sectors - 1) * beat_q8;
    return c->fill == FILL_LINE_BLOCKING ? c->fill_end : ready;
}

static uint64_t access_unit(em_memsim *m, uint32_t unit, uint32_t address, uint32_t burst, uint64_t t, int kind) {
    if (unit == BACKING) unit = m->backing;
    if (!unit) return t;
    if (unit <= m->caches) {
        em_cache *c = &m->cache[unit - 1];
        return c->on ? access_cache(m, c, address, t, kind) : access_unit(m, c->behind, address, burst, t, kind);
    }
    em_device *d = &m->device[unit - 257];
    if (kind == WRITE) return t + d->write_q8;
    return read_device(d, address, burst, t, kind);
}

/* Bytes that one look-up covers. */
static uint32_t granule(const em_memsim *m, uint32_t unit) {
    while (unit && unit <= m->caches) {
        const em_cache *c = &m->cache[unit - 1];
        if (c->on) return c->sector;
        unit = c->behind == BACKING ? m->backing : c->behind;
    }
    return unit ? m->device[unit - 257].line : 0x80000000u;
}

uint32_t em_fetch(em_memsim *m, uint32_t address, uint32_t size, int sequential) {
    const em_route *r = em_route_of(m, address, &m->last_fetch);
    if (!r || !size) return 0;
    m->backing = r->backing;
    uint64_t lost = (uint64_t)r->cost_q8[FETCH] * ((size + 3) / 4);
    if (r->unit[FETCH]) {
        uint32_t step = granule(m, r->unit[FETCH]), offset = 0;
        uint32_t at = address - r->base + r->target;
        while (offset < size) {
            uint64_t needed = m->now + lost + m->executing * offset / size, asked = needed;
            if (offset || sequential) asked = em_asked(m, needed);
            m->fetched = access_unit(m, r->unit[FETCH], at + offset, step, asked, FETCH);
            if (m->fetched > needed) lost += m->fetched - needed;
            offset += step - ((at + offset) & (step - 1));
        }
    }
    return lost ? em_stall(m, lost, &m->fetch_stalls) : 0;
}

void em_plan_fetch(em_memsim *m, em_fetch_plan *plan, uint32_t address, uint32_t size) {
    const em_route *r = em_route_of(m, address, &m->last_fetch);
    plan->cache = NULL;
    if (m->plain || !r || r->quick[FETCH] != QUICK_CACHED || !size) return;
    em_cache *c = &m->cache[r->unit[FETCH] - 1];
    uint32_t at = address - r->base + r->target, last = at + size - 1;
    uint32_t first_line = at >> c->line_shift, lines = (last >> c->line_shift) - first_line + 1;
    if (!c->on || last < at || lines > c->sets * c->ways) return;
    if (lines > plan->room) {
        em_plan_line *more = realloc(plan->line, lines * sizeof *more);
        if (!more) return;
        plan->line = more;
        plan->room = lines;
    }
    for (uint32_t k = 0; k < lines; k++) {
        em_plan_line *l = &plan->line[k];
        l->tag = first_line + k;
        l->way = &c->way[c->hint[l->tag % HINTS]];
        uint32_t first = k ? 0 : (at & (c->line - 1)) >> c->sector_shift;
        uint32_t end = k + 1 < lines ? c->line >> c->sector_shift : ((last & (c->line - 1)) >> c->sector_shift) + 1;
        l->valid = (end == 32 ? NONE : (1u << end) - 1) & ~((1u << first) - 1);
        if (l->way->tag != l->tag || l->valid & ~l->way->valid) return;
    }
    plan->lines = lines;
    plan->granules = (last >> c->sector_shift) - (at >> c->sector_shift) + 1;
    plan->cache = c;
}

void em_at(em_memsim *m, uint32_t cycles_q8) { m->at_q8 = cycles_q8; }

uint32_t em_data(em_memsim *m, uint32_t pc, uint32_t address, uint32_t size, int is_write) {
    const em_route *r = em_route_of(m, address, &m->last_data);
    uint64_t lost = 0;
    int kind = is_write ? WRITE : READ;
    int several = !is_write && pc == m->single_pc && address == m->single_address + 4 && m->now == m->single_time;
    if (m->single_q8 && !several) lost += m->single_q8; /* what was read before was a single word after all */
    m->single_q8 = 0;
    if (r) {
        m->backing = r->backing;
        uint64_t offset = m->at_q8 == NONE ? (uint64_t)m->accesses++ * m->step_q8 : m->at_q8;
        m->at_q8 = NONE;
        uint64_t t = m->now + (offset < m->executing ? offset : m->executing);
        if (r->bus) { /* accesses of neighbouring instructions overlap on one bus only; a bus hands over between slaves */
            if (m->data_bus && r->bus != m->data_bus) {
                if (pc - m->data_pc - 1 < 4) lost += m->other_bus_q8;
            } else if (m->data_bus && r->slave != m->data_slave) lost += m->other_slave_q8;
            m->data_bus = r->bus;
            m->data_slave = r->slave;
            m->data_pc = pc;
        }
        if (r->hold_q8 && is_write) { /* a store leaves at once and keeps the write buffer for a while */
            if (m->store_free > t) lost += m->store_free - t;
            m->store_free = t + lost + r->hold_q8;
        }
        lost += r->cost_q8[kind];
        if (r->unit[kind]) {
            uint32_t at = address - r->base + r->target;
            uint64_t ready = access_unit(m, r->unit[kind], at, size, t + lost, kind);
            lost += ready - (t + lost);
            uint32_t step = granule(m, r->unit[kind]);
            if (size && ((at ^ (at + size - 1)) & ~(step - 1))) { /* the rest lies in the next line */
                ready = access_unit(m, r->unit[kind], (at + size - 1) & ~(step - 1), size, t + lost, kind);
                lost += ready - (t + lost);
            }
        }
    }
    if (m->unaligned && size > 1 && address & (size - 1)) {
        if (m->unaligned == UNALIGNED_SPLIT) { /* a halfword as two bytes; a word as two halfwords, or byte, halfword, byte */
            m->unaligned_count++;
            lost += (uint64_t)m->unaligned_q8 * (size >= 4 && address & 1 ? 2 : 1);
        } else if ((address ^ (address + size - 1)) & ~(m->boundary - 1)) {
            m->unaligned_count++;
            lost += m->unaligned_q8;
        }
    }
    uint32_t cycles = lost ? em_stall(m, lost, &m->data_stalls) : 0;
    if (r && r->single_q8 && !is_write) {
        m->single_q8 = several ? 0 : r->single_q8;
        m->single_pc = pc;
        m->single_address = address;
        m->single_time = m->now;
    }
    return cycles;
}

uint32_t em_branch(em_memsim *m, uint32_t address, uint32_t target, int taken, int kind, uint32_t static_taken_q8) {
    (void)static_taken_q8;
    if (!m->btb_size && !m->counters) return 0;
    m->branches++;
    em_btb_entry *entry = m->btb_size ? &m->btb[(address >> 1) & (m->btb_size - 1)] : NULL;
    uint32_t lost = 0;
    int known = entry && entry->tag == address;
    if (kind & EM_BRANCH_CONDITIONAL && m->counters) {
        uint8_t *counter = &m->counter[((address >> 1) ^ (m->history & m->history_mask)) & (m->counters - 1)];
        int predicted = *counter >= 2;
        if (predicted != !!taken) lost = m->mispredict_q8;
        if (taken && *counter < 3) ++*counter;
        if (!taken && *counter > 0) --*counter;
        m->history = m->history << 1 | !!taken;
    }
    if (taken && !lost) {
        if (kind & EM_BRANCH_RETURN && m->stack_size) {
            uint32_t expected = m->stack_top ? m->stack[--m->stack_top % m->stack_size] : NONE;
            if (target - expected - 2 > 2) lost = m->mispredict_q8;
        } else if (kind & EM_BRANCH_DIRECT) {
            if (!known) lost = m->btb_miss_q8;
        } else if (!known || entry->target != target) {
            lost = m->mispredict_q8;
        }
    }
    if (taken && kind & EM_BRANCH_CALL && m->stack_size) {
        if (m->stack_top >= 2 * m->stack_size) m->stack_top -= m->stack_size;
        m->stack[m->stack_top++ % m->stack_size] = address;
    }
    if (taken && entry) *entry = (em_btb_entry){address, target};
    if (lost >= m->mispredict_q8 && lost) m->mispredicts++;
    m->now += lost;
    return lost;
}

