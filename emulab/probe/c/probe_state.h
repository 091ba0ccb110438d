/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* State of the probe, shared by its parts: blocks.c (table), addresses.c (data accesses), probe.c (what runs per block). */
#ifndef EMULAB_PROBE_STATE_H
#define EMULAB_PROBE_STATE_H
#include "memsim_quick.h"
#include "probe.h"

enum { EM_NO_BLOCK = 0xFFFFFFFFu, EM_DEVICE_LIMIT = 32, EM_REGION_LIMIT = 254, EM_GROUP_LIMIT = 32 };

/* Accesses of a block off the same slot. */
typedef struct em_group {
    uint8_t slot;
    uint8_t align, odd; /* all are aligned where the bits `align` of the base are 0, unless odd */
    int32_t low, high;
    uint32_t reads, writes, bytes_read, bytes_written;
} em_group;

typedef struct em_block {
    uint32_t address, size, end, flags;
    struct em_block *next[2]; /* that followed last, and before that */
    uint32_t index, instructions, cycles_q8, taken_q8, branch_kind;
    uint32_t behind, way_q8[4]; /* way_q8: what the way in costs: fallen into from a block `behind`, by a branch */
    uint32_t accesses, divides, unresolved, fetch_tracked;
    uint32_t branch_address;
    em_fetch_plan plan;
    uint32_t operations, groups, prefixes;
    uint32_t quick;   /* data accesses can take the short way */
    uint32_t last_pc; /* of the last access, as em_data wants it */
    const em_op *operation;
    const em_access *access;
    const uint8_t *access_group; /* per access */
    const em_group *group;
    const em_divide *divide;
    const uint32_t *prefix_q8;
} em_block;

typedef struct em_region {
    uint32_t base, size, counter, tracked, device;
    const uint8_t *host;
    const em_route *route; /* in the memory simulator, where that has all of it; NULL: none */
    uint32_t bus;          /* bus and slave in one number; 0: not told */
    uint32_t quiet;        /* an aligned access costs nothing but a change of bus */
    uint32_t quick;        /* em_quick_data may be asked */
    uint32_t guarded;      /* some of its addresses are guarded; a copy of region guarded - 1, for the pages that have them */
} em_region;

typedef struct em_device_access {
    uint32_t address, instruction, write;
} em_device_access;

typedef struct em_probe_state {
    em_probe face;
    em_block **block;
    uint32_t capacity;
    uint32_t *hash, hash_size;
    uint8_t *page; /* 4 KB page -> region index, 0 for none */
    em_region region[EM_REGION_LIMIT + 1];
    uint32_t region_limit; /* index of the last one */
    em_block *last;
    em_device_access device[EM_DEVICE_LIMIT];
    uint32_t devices, device_next, device_pc;
    em_divider divider;
    em_guard *guard;
    uint32_t guards;
    uint64_t divide_q8; /* of the block em_block_data was asked for last */
    uint32_t plain;
} em_probe_state;

static inline const em_region *em_region_of(const em_probe_state *p, uint32_t address) {
    uint32_t index = p->page[address >> 12];
    return index ? &p->region[index] : NULL;
}

static inline void em_count_access(em_region_count *count, uint32_t size, int write) {
    if (write) count->writes++, count->bytes_written += size;
    else count->reads++, count->bytes_read += size;
}

/* The block of this address and size, NULL where the table has none. */
em_block *em_find_block(em_probe_state *, uint32_t address, uint32_t size);
/* Counts and prices the data accesses of the block that is entered; returns stall cycles. Prices its divisions too:
 * divide_q8, of a block that has any. */
uint64_t em_block_data(em_probe_state *, const em_block *);
#endif
