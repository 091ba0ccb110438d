/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* State of the memory simulator, shared by its parts: memsim.c (accesses), memsim_config.c (set-up, settings, counters)
 * and memsim_quick.h (accesses that hit). */
#ifndef EMULAB_MEMSIM_STATE_H
#define EMULAB_MEMSIM_STATE_H
#include "memsim.h"

enum { VERSION = 4, HEADER_WORDS = 20, REGION_WORDS = 14, CACHE_WORDS = 18, DEVICE_WORDS = 14, MAX_UNITS = 16, MAX_REGIONS = 32 };
enum { FETCH = 0, READ = 1, WRITE = 2 };
enum { FILL_SECTOR = 0, FILL_LINE = 1, FILL_LINE_BLOCKING = 2 };
enum { REPLACE_LRU = 0, REPLACE_ROUND_ROBIN = 1, REPLACE_RANDOM = 2, REPLACE_PLRU = 3 };
enum { WRITE_AROUND = 0, WRITE_THROUGH = 1, WRITE_BACK = 2 };
enum { UNALIGNED_NONE = 0, UNALIGNED_SPLIT = 1, UNALIGNED_BOUNDARY = 2 };
enum { NONE = 0xFFFFFFFFu, BUSY = 8, BACKING = 0xFFFF, HINTS = 64 };

/* How accesses to a region can be priced without the general way (memsim_quick.h). */
enum { QUICK_NEVER = 0, QUICK_QUIET = 1, QUICK_CACHED = 2 };

typedef struct {
    uint32_t base, size, target, unit[3], cost_q8[3], hold_q8, bus, slave, backing, single_q8;
    uint32_t quick[3];
} em_route;

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
} em_device;

typedef struct {
    uint32_t tag; /* line number, NONE if empty */
    uint32_t valid; /* one bit per sector */
    uint32_t dirty;
    uint32_t used;
} em_way;

typedef struct {
    char name[17];
    uint32_t behind, sets, ways, line, sector, control, initial, replacement, fill, miss_q8, write_policy, hit_under_miss, victim_q8;
    uint32_t on, clock, next, full;
    em_way *way;
    uint32_t filling, fill_first; /* line being filled in the background, and its first sector */
    uint64_t fill_start, fill_beat, fill_end;
    uint64_t hits[2], misses[2];
    uint32_t line_shift, sector_shift;
    uint16_t hint[HINTS]; /* way that held the line with these low bits last: where to look first */
    const void *recent;   /* the fetch plan whose lines were all that was used last */
} em_cache;

typedef struct {
    uint32_t tag, target;
} em_btb_entry;

struct em_memsim {
    uint32_t plain; /* every access goes the general way */
    uint32_t predicts;
    uint32_t regions, caches, devices;
    uint32_t unaligned, boundary, unaligned_q8, step_q8;
    uint32_t btb_size, counters, history_mask, mispredict_q8, btb_miss_q8, stack_size, ahead_q8, other_bus_q8, other_slave_q8;
    em_route region[MAX_REGIONS];
    em_cache cache[MAX_UNITS];
    em_device device[MAX_UNITS];
    em_btb_entry *btb;
    uint8_t *counter;
    uint32_t history, stack[16], stack_top;
    uint64_t now, executing;
    uint32_t backing, accesses, at_q8, carry_q8, last_fetch, last_data;
    uint64_t store_free, fetched;
    uint32_t data_pc, data_bus, data_slave;
    uint32_t single_q8, single_pc, single_address; /* a read charged if the next access shows that it was a single one */
    uint64_t single_time;
    uint64_t fetch_stalls, data_stalls, unaligned_count, branches, mispredicts;
};

/* The region of address, NULL where there is none; *last remembers where it was found. */
static inline const em_route *em_route_of(const em_memsim *m, uint32_t address, uint32_t *last) {
    const em_route *r = &m->region[*last];
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

/* Charges q8 of stall; returns the whole cycles of it and of what was left over before. */
static inline uint32_t em_stall(em_memsim *m, uint64_t q8, uint64_t *total) {
    m->now += q8;
    uint64_t sum = q8 + m->carry_q8;
    m->carry_q8 = sum & 255;
    *total += sum >> 8;
    return (uint32_t)(sum >> 8);
}
#endif
