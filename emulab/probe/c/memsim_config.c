/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The memory simulator from its configuration: set-up, reset, what firmware sets at run time, counters. The words are
 * described in memsim.c. */
#include "memsim_state.h"
#include <stdlib.h>
#include <string.h>

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
        em_route *r = &m->region[i];
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
        r->single_q8 = w[13];
        sound = sound && unit_exists(m, r->backing) && (r->backing == 0 || r->backing >= 257);
    }
    for (uint32_t i = 0; i < m->caches; i++, w += CACHE_WORDS) {
        em_cache *c = &m->cache[i];
        copy_name(c->name, w);
        uint32_t *fields[] = {&c->behind, &c->sets, &c->ways, &c->line, &c->sector, &c->control, &c->initial, &c->replacement, &c->fill,
                              &c->miss_q8, &c->write_policy, &c->hit_under_miss, &c->victim_q8};
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) *fields[k] = w[4 + k];
        sound = sound && power_of_two(c->sets) && c->ways && c->ways <= 256 && power_of_two(c->line) && power_of_two(c->sector) &&
                c->sector <= c->line && c->line / c->sector <= 32 && (c->behind == BACKING || (unit_exists(m, c->behind) && (c->behind == 0 || c->behind > i + 1)));
        if (sound) {
            c->full = c->line / c->sector == 32 ? NONE : (1u << (c->line / c->sector)) - 1;
            while (c->line >> c->line_shift > 1) c->line_shift++;
            while (c->sector >> c->sector_shift > 1) c->sector_shift++;
            sound = c->sets <= 65536 / c->ways; /* hints have 16 bits */
            if (sound) c->way = malloc(sizeof *c->way * c->sets * c->ways);
            sound = c->way != NULL;
        }
    }
    for (uint32_t i = 0; i < m->devices; i++, w += DEVICE_WORDS) {
        em_device *d = &m->device[i];
        copy_name(d->name, w);
        uint32_t *fields[] = {&d->line, &d->initial_wait_states, &d->programmable, &d->beat_q8, &d->overhead_q8, &d->prefetch_control,
                              &d->prefetch_initial, &d->buffers, &d->write_q8, &d->prefetch_data};
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) *fields[k] = w[4 + k];
        sound = sound && power_of_two(d->line);
    }
    int singles = 0; /* then every access matters, since it tells what the one before was */
    for (uint32_t i = 0; i < m->regions; i++) singles |= m->region[i].single_q8 != 0;
    for (uint32_t i = 0; sound && i < m->regions; i++) {
        em_route *r = &m->region[i];
        for (int k = 0; k < 3; k++) {
            if (r->cost_q8[k] || (k == WRITE && r->hold_q8) || (k != FETCH && singles)) r->quick[k] = QUICK_NEVER;
            else if (!r->unit[k]) r->quick[k] = QUICK_QUIET;
            else r->quick[k] = r->unit[k] <= m->caches ? QUICK_CACHED : QUICK_NEVER;
        }
    }
    m->predicts = m->btb_size || m->counters;
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

static void invalidate(em_cache *c) {
    for (uint32_t i = 0; i < c->sets * c->ways; i++) c->way[i] = (em_way){NONE, 0, 0, 0};
    memset(c->hint, 0, sizeof c->hint);
    c->recent = NULL;
    c->filling = NONE;
    c->clock = c->next = 0;
}

void em_plain(em_memsim *m, int plain) {
    m->plain = plain != 0;
    for (uint32_t i = 0; i < m->caches; i++) m->cache[i].recent = NULL;
}

void em_reset(em_memsim *m) {
    for (uint32_t i = 0; i < m->caches; i++) {
        m->cache[i].on = m->cache[i].initial;
        invalidate(&m->cache[i]);
        m->cache[i].fill_end = 0;
    }
    for (uint32_t i = 0; i < m->devices; i++) {
        em_device *d = &m->device[i];
        d->wait_states = d->initial_wait_states;
        d->prefetch = d->prefetch_initial;
        d->current[0] = d->current[1] = d->pending = NONE;
        d->pending_ready = 0;
        memset(d->busy_from, 0, sizeof d->busy_from);
        memset(d->busy_to, 0, sizeof d->busy_to);
    }
    for (uint32_t i = 0; i < m->btb_size; i++) m->btb[i] = (em_btb_entry){NONE, 0};
    if (m->counter) memset(m->counter, 1, m->counters);
    m->history = m->stack_top = 0;
    m->now = m->executing = m->store_free = m->fetched = 0;
    m->data_pc = m->data_bus = m->data_slave = 0;
    m->single_q8 = 0;
    m->at_q8 = NONE;
    m->accesses = m->carry_q8 = m->last_fetch = m->last_data = 0;
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
            if (m->cache[i].control == control) m->cache[i].on = value != 0, m->cache[i].recent = NULL;
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
        const em_cache *c = &m->cache[i];
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
    for (uint32_t i = 0; i < m->regions; i++)
        if (m->region[i].single_q8) return 1;
    for (uint32_t i = 0; i < m->regions; i++) {
        const em_route *r = &m->region[i];
        if (address - r->base >= r->size) continue;
        if (r->hold_q8 || (r->bus && (m->other_bus_q8 || m->other_slave_q8))) return 1;
        for (int k = 0; k < 3; k++)
            if (r->unit[k] || r->cost_q8[k]) return 1;
        return m->unaligned != UNALIGNED_NONE;
    }
    return 0;
}
