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
#include "memsim.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 3, HEADER_WORDS = 20, REGION_WORDS = 13, CACHE_WORDS = 18, DEVICE_WORDS = 14, MAX_UNITS = 16, MAX_REGIONS = 32 };
enum { FETCH = 0, READ = 1, WRITE = 2 };
enum { FILL_SECTOR = 0, FILL_LINE = 1, FILL_LINE_BLOCKING = 2 };
enum { REPLACE_LRU = 0, REPLACE_ROUND_ROBIN = 1, REPLACE_RANDOM = 2, REPLACE_PLRU = 3 };
enum { WRITE_AROUND = 0, WRITE_THROUGH = 1, WRITE_BACK = 2 };
enum { UNALIGNED_NONE = 0, UNALIGNED_SPLIT = 1, UNALIGNED_BOUNDARY = 2 };
enum { NONE = 0xFFFFFFFFu, BUSY = 8, BACKING = 0xFFFF };

typedef struct {
    uint32_t base, size, target, unit[3], cost_q8[3], hold_q8, bus, slave, backing;
} region;

typedef struct {
    char name[17];
    uint32_t line, wait_states, initial_wait_states, programmable, beat_q8, overhead_q8, prefetch_control, prefetch_initial;
    uint32_t buffers, write_q8, prefetch_data;
    uint32_t prefetch;
    uint32_t current[2];  /* line numbers in the output buffers; [1] is that of data where there are two */
    uint32_t pending;     /* line being prefetched or waiting in the prefetch buffer */
    uint64_t pending_ready;
    uint64_t busy_from[BUSY], busy_to[BUSY]; /* recent accesses of the array: a block's data reads come after its fetches */
    uint32_t busy_next;
    uint64_t reads, prefetch_hits;
} device;

typedef struct {
    uint32_t tag; /* line number, NONE if empty */
    uint32_t valid; /* one bit per sector */
    uint32_t dirty;
    uint32_t used;
} way;

typedef struct {
    char name[17];
    uint32_t behind, sets, ways, line, sector, control, initial, replacement, fill, miss_q8, write_policy, hit_under_miss, victim_q8;
    uint32_t on, clock, next, full;
    way *way;
    uint32_t filling, fill_first; /* line being filled in the background, and its first sector */
    uint64_t fill_start, fill_beat, fill_end;
    uint64_t hits[2], misses[2];
} cache;

typedef struct {
    uint32_t tag, target;
} btb_entry;

struct em_memsim {
    uint32_t regions, caches, devices;
    uint32_t unaligned, boundary, unaligned_q8, step_q8;
    uint32_t btb_size, counters, history_mask, mispredict_q8, btb_miss_q8, stack_size, ahead_q8, other_bus_q8, other_slave_q8;
    region region[MAX_REGIONS];
    cache cache[MAX_UNITS];
    device device[MAX_UNITS];
    btb_entry *btb;
    uint8_t *counter;
    uint32_t history, stack[16], stack_top;
    uint64_t now, executing;
    uint32_t backing, accesses, at_q8, carry_q8, last_fetch, last_data;
    uint64_t store_free, fetched;
    uint32_t data_pc, data_bus, data_slave;
    uint64_t fetch_stalls, data_stalls, unaligned_count, branches, mispredicts;
};

static void copy_name(char *to, const uint32_t *from) {
    for (int i = 0; i < 16; i++) to[i] = (char)(from[i / 4] >> (8 * (i % 4)));
    to[16] = 0;
}

static int power_of_two(uint32_t value) { return value && !(value & (value - 1)); }

static int unit_exists(const em_memsim *m, uint32_t unit) {
    return unit == 0 || (unit <= m->caches) || (unit >= 257 && unit - 257 < m->devices);
}

em_memsim *em_new(const uint32_t *config, size_t words) {
    if (!config || words < HEADER_WORDS || config[0] != VERSION) return NULL;
    if (config[1] > MAX_REGIONS || config[2] > MAX_UNITS || config[3] > MAX_UNITS) return NULL;
    if (words < HEADER_WORDS + (size_t)config[1] * REGION_WORDS + (size_t)config[2] * CACHE_WORDS + (size_t)config[3] * DEVICE_WORDS)
        return NULL;
    em_memsim *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->regions = config[1];
    m->caches = config[2];
    m->devices = config[3];
    m->unaligned = config[4];
    m->boundary = config[5] ? config[5] : 4;
    m->unaligned_q8 = config[6];
    m->step_q8 = config[7];
    m->btb_size = config[8];
    m->counters = config[9];
    m->history_mask = (1u << (config[10] & 15)) - 1;
    m->mispredict_q8 = config[11];
    m->btb_miss_q8 = config[12];
    m->stack_size = config[13] > 16 ? 16 : config[13];
    m->ahead_q8 = config[14];
    m->other_bus_q8 = config[15];
    m->other_slave_q8 = config[16];
    const uint32_t *w = config + HEADER_WORDS;
    int sound = power_of_two(m->boundary) && (!m->btb_size || power_of_two(m->btb_size)) && (!m->counters || power_of_two(m->counters));
    for (uint32_t i = 0; i < m->regions; i++, w += REGION_WORDS) {
        region *r = &m->region[i];
        r->base = w[0];
        r->size = w[1];
        r->target = w[2];
        for (int k = 0; k < 3; k++) {
            r->unit[k] = w[3 + k];
            r->cost_q8[k] = w[6 + k];
            sound = sound && unit_exists(m, r->unit[k]);
        }
        r->hold_q8 = w[9];
        r->bus = w[10];
        r->slave = w[11];
        r->backing = w[12];
        sound = sound && unit_exists(m, r->backing) && (r->backing == 0 || r->backing >= 257);
    }
    for (uint32_t i = 0; i < m->caches; i++, w += CACHE_WORDS) {
        cache *c = &m->cache[i];
        copy_name(c->name, w);
        uint32_t *fields[] = {&c->behind, &c->sets, &c->ways, &c->line, &c->sector, &c->control, &c->initial, &c->replacement, &c->fill,
                              &c->miss_q8, &c->write_policy, &c->hit_under_miss, &c->victim_q8};
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) *fields[k] = w[4 + k];
        sound = sound && power_of_two(c->sets) && c->ways && c->ways <= 256 && power_of_two(c->line) && power_of_two(c->sector) &&
                c->sector <= c->line && c->line / c->sector <= 32 && (c->behind == BACKING || (unit_exists(m, c->behind) && (c->behind == 0 || c->behind > i + 1)));
        if (sound) {
            c->full = c->line / c->sector == 32 ? NONE : (1u << (c->line / c->sector)) - 1;
            c->way = malloc(sizeof *c->way * c->sets * c->ways);
            sound = c->way != NULL;
        }
    }
    for (uint32_t i = 0; i < m->devices; i++, w += DEVICE_WORDS) {
        device *d = &m->device[i];
        copy_name(d->name, w);
        uint32_t *fields[] = {&d->line, &d->initial_wait_states, &d->programmable, &d->beat_q8, &d->overhead_q8, &d->prefetch_control,
                              &d->prefetch_initial, &d->buffers, &d->write_q8, &d->prefetch_data};
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) *fields[k] = w[4 + k];
        sound = sound && power_of_two(d->line);
    }
    if (sound && m->btb_size) m->btb = malloc(sizeof *m->btb * m->btb_size);
    if (sound && m->counters) m->counter = malloc(m->counters);
    if (!sound || (m->btb_size && !m->btb) || (m->counters && !m->counter)) {
        em_free(m);
        return NULL;
    }
    em_reset(m);
    return m;
}

void em_free(em_memsim *m) {
    if (!m) return;
    for (uint32_t i = 0; i < m->caches; i++) free(m->cache[i].way);
    free(m->btb);
    free(m->counter);
    free(m);
}

static void invalidate(cache *c) {
    for (uint32_t i = 0; i < c->sets * c->ways; i++) c->way[i] = (way){NONE, 0, 0, 0};
    c->filling = NONE;
    c->clock = c->next = 0;
}

void em_reset(em_memsim *m) {
    for (uint32_t i = 0; i < m->caches; i++) {
        m->cache[i].on = m->cache[i].initial;
        invalidate(&m->cache[i]);
        m->cache[i].fill_end = 0;
    }
    for (uint32_t i = 0; i < m->devices; i++) {
        device *d = &m->device[i];
        d->wait_states = d->initial_wait_states;
        d->prefetch = d->prefetch_initial;
        d->current[0] = d->current[1] = d->pending = NONE;
        d->pending_ready = 0;
        memset(d->busy_from, 0, sizeof d->busy_from);
        memset(d->busy_to, 0, sizeof d->busy_to);
    }
    for (uint32_t i = 0; i < m->btb_size; i++) m->btb[i] = (btb_entry){NONE, 0};
    if (m->counter) memset(m->counter, 1, m->counters);
    m->history = m->stack_top = 0;
    m->now = m->executing = m->store_free = m->fetched = 0;
    m->data_pc = m->data_bus = m->data_slave = 0;
    m->at_q8 = NONE;
    m->accesses = m->carry_q8 = m->last_fetch = m->last_data = 0;
}

void em_execute(em_memsim *m, uint32_t cycles_q8) {
    m->now += m->executing;
    m->executing = cycles_q8;
    m->accesses = 0;
}

static const region *lookup(const em_memsim *m, uint32_t address, uint32_t *last) {
    const region *r = &m->region[*last];
    if (*last < m->regions && address - r->base < r->size) return r;
    for (uint32_t i = 0; i < m->regions; i++) {
        r = &m->region[i];
        if (address - r->base < r->size) {
            *last = i;
            return r;
        }
    }
    return NULL;
}

/* First instant from t on when the array is free; an access under way is not broken off. */
static uint64_t array_free(const device *d, uint64_t t) {
    for (uint32_t i = 0; i < BUSY; i++)
        if (d->busy_from[i] <= t && t < d->busy_to[i]) {
            t = d->busy_to[i];
            i = NONE; /* look again from the first */
        }
    return t;
}

static void occupy(device *d, uint64_t from, uint64_t to) {
    d->busy_from[d->busy_next] = from;
    d->busy_to[d->busy_next] = to;
    d->busy_next = (d->busy_next + 1) % BUSY;
}

/* Time at which the line with address has arrived; the rest of a burst (`burst` bytes in all) keeps the device busy. */
static uint64_t read_device(device *d, uint32_t address, uint32_t burst, uint64_t t, int kind) {
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

static uint32_t victim(cache *c, way *set) {
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

static uint64_t access_cache(em_memsim *m, cache *c, uint32_t address, uint64_t t, int kind) {
    uint32_t line = address / c->line, sector = (address % c->line) / c->sector, bit = 1u << sector;
    way *set = c->way + (line & (c->sets - 1)) * c->ways, *found = NULL;
    for (uint32_t i = 0; i < c->ways; i++)
        if (set[i].tag == line) {
            found = &set[i];
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
        *found = (way){line, 0, 0, 0};
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
        const device *d = &m->device[behind - 257];
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
        cache *c = &m->cache[unit - 1];
        return c->on ? access_cache(m, c, address, t, kind) : access_unit(m, c->behind, address, burst, t, kind);
    }
    device *d = &m->device[unit - 257];
    if (kind == WRITE) return t + d->write_q8;
    return read_device(d, address, burst, t, kind);
}

/* Bytes that one look-up covers. */
static uint32_t granule(const em_memsim *m, uint32_t unit) {
    while (unit && unit <= m->caches) {
        const cache *c = &m->cache[unit - 1];
        if (c->on) return c->sector;
        unit = c->behind == BACKING ? m->backing : c->behind;
    }
    return unit ? m->device[unit - 257].line : 0x80000000u;
}

static uint32_t stall(em_memsim *m, uint64_t q8, uint64_t *total) {
    m->now += q8;
    uint64_t sum = q8 + m->carry_q8;
    m->carry_q8 = sum & 255;
    *total += sum >> 8;
    return (uint32_t)(sum >> 8);
}

uint32_t em_fetch(em_memsim *m, uint32_t address, uint32_t size, int sequential) {
    const region *r = lookup(m, address, &m->last_fetch);
    if (!r || !size) return 0;
    m->backing = r->backing;
    uint64_t lost = (uint64_t)r->cost_q8[FETCH] * ((size + 3) / 4);
    if (r->unit[FETCH]) {
        uint32_t step = granule(m, r->unit[FETCH]), offset = 0;
        uint32_t at = address - r->base + r->target;
        while (offset < size) {
            uint64_t needed = m->now + lost + m->executing * offset / size, asked = needed;
            if (offset || sequential) { /* the fetch unit runs ahead of execution, as far as its buffer reaches */
                asked = needed > m->ahead_q8 ? needed - m->ahead_q8 : 0;
                if (asked < m->fetched) asked = m->fetched < needed ? m->fetched : needed;
            }
            m->fetched = access_unit(m, r->unit[FETCH], at + offset, step, asked, FETCH);
            if (m->fetched > needed) lost += m->fetched - needed;
            offset += step - ((at + offset) & (step - 1));
        }
    }
    return lost ? stall(m, lost, &m->fetch_stalls) : 0;
}

void em_at(em_memsim *m, uint32_t cycles_q8) { m->at_q8 = cycles_q8; }

uint32_t em_data(em_memsim *m, uint32_t pc, uint32_t address, uint32_t size, int is_write) {
    const region *r = lookup(m, address, &m->last_data);
    uint64_t lost = 0;
    int kind = is_write ? WRITE : READ;
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
    return lost ? stall(m, lost, &m->data_stalls) : 0;
}

uint32_t em_branch(em_memsim *m, uint32_t address, uint32_t target, int taken, int kind, uint32_t static_taken_q8) {
    (void)static_taken_q8;
    if (!m->btb_size && !m->counters) return 0;
    m->branches++;
    btb_entry *entry = m->btb_size ? &m->btb[(address >> 1) & (m->btb_size - 1)] : NULL;
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
    if (taken && entry) *entry = (btb_entry){address, target};
    if (lost >= m->mispredict_q8 && lost) m->mispredicts++;
    m->now += lost;
    return lost;
}

void em_set(em_memsim *m, int parameter, uint32_t value) {
    uint32_t control = parameter == EM_ICACHE || parameter == EM_ICACHE_INVALIDATE ? 1 : 2;
    switch (parameter) {
    case EM_WAIT_STATES:
        for (uint32_t i = 0; i < m->devices; i++)
            if (m->device[i].programmable) m->device[i].wait_states = value > 255 ? 255 : value;
        break;
    case EM_PREFETCH:
        for (uint32_t i = 0; i < m->devices; i++)
            if (m->device[i].prefetch_control) {
                m->device[i].prefetch = value != 0;
                if (!value) m->device[i].pending = NONE;
            }
        break;
    case EM_ICACHE:
    case EM_DCACHE:
        for (uint32_t i = 0; i < m->caches; i++)
            if (m->cache[i].control == control) m->cache[i].on = value != 0;
        break;
    case EM_ICACHE_INVALIDATE:
    case EM_DCACHE_INVALIDATE:
        for (uint32_t i = 0; i < m->caches; i++)
            if (m->cache[i].control == control) invalidate(&m->cache[i]);
        break;
    default: break;
    }
}

enum { FIXED_COUNTERS = 5, PER_CACHE = 4, PER_DEVICE = 2 };
static const char *const fixed_names[FIXED_COUNTERS] = {"fetch_stall_cycles", "data_stall_cycles", "unaligned_accesses",
                                                         "predicted_branches", "mispredicted_branches"};
static const char *const cache_names[PER_CACHE] = {"fetch_hits", "fetch_misses", "data_hits", "data_misses"};
static const char *const device_names[PER_DEVICE] = {"reads", "prefetch_hits"};

size_t em_counters(const em_memsim *m, uint64_t *out, size_t n) {
    uint64_t all[FIXED_COUNTERS + PER_CACHE * MAX_UNITS + PER_DEVICE * MAX_UNITS] = {
        m->fetch_stalls, m->data_stalls, m->unaligned_count, m->branches, m->mispredicts};
    size_t count = FIXED_COUNTERS;
    for (uint32_t i = 0; i < m->caches; i++) {
        const cache *c = &m->cache[i];
        uint64_t values[PER_CACHE] = {c->hits[0], c->misses[0], c->hits[1], c->misses[1]};
        for (int k = 0; k < PER_CACHE; k++) all[count++] = values[k];
    }
    for (uint32_t i = 0; i < m->devices; i++) {
        all[count++] = m->device[i].reads;
        all[count++] = m->device[i].prefetch_hits;
    }
    for (size_t i = 0; i < count && i < n; i++) out[i] = all[i];
    return count;
}

const char *em_counter_name(const em_memsim *m, size_t index) {
    static char text[64];
    const char *unit, *what;
    if (index < FIXED_COUNTERS) return fixed_names[index];
    index -= FIXED_COUNTERS;
    if (index < (size_t)m->caches * PER_CACHE) {
        unit = m->cache[index / PER_CACHE].name;
        what = cache_names[index % PER_CACHE];
    } else {
        index -= (size_t)m->caches * PER_CACHE;
        if (index >= (size_t)m->devices * PER_DEVICE) return "";
        unit = m->device[index / PER_DEVICE].name;
        what = device_names[index % PER_DEVICE];
    }
    size_t length = strlen(unit);
    memcpy(text, unit, length);
    text[length] = '_';
    strcpy(text + length + 1, what);
    return text;
}

int em_tracks(const em_memsim *m, uint32_t address) {
    for (uint32_t i = 0; i < m->regions; i++) {
        const region *r = &m->region[i];
        if (address - r->base >= r->size) continue;
        if (r->hold_q8 || (r->bus && (m->other_bus_q8 || m->other_slave_q8))) return 1;
        for (int k = 0; k < 3; k++)
            if (r->unit[k] || r->cost_q8[k]) return 1;
        return m->unaligned != UNALIGNED_NONE;
    }
    return 0;
}
