/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Block table, counters and the per-block path of the probe. */
#include "probe.h"
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
#define DEVICE_LIMIT 32

typedef struct group { /* accesses of a block off the same slot */
    uint8_t slot;
    int32_t low, high;
    uint32_t reads, writes, bytes_read, bytes_written;
} group;

typedef struct block {
    uint32_t address, size, end;
    uint32_t index, instructions, cycles_q8, taken_q8, entry_q8, branch_kind, branch_address, flags, unresolved;
    uint32_t operations, accesses, groups, prefixes, fetch_tracked;
    struct block *next[2];
    const em_op *operation;
    const em_access *access;
    const group *group;
    const uint32_t *prefix_q8;
} block;

typedef struct region {
    uint32_t base, counter, tracked, device;
    const uint8_t *host;
} region;

typedef struct device_access {
    uint32_t address, instruction, write;
} device_access;

typedef struct probe {
    em_probe face;
    block **block;
    uint32_t capacity;
    uint32_t *hash, hash_size;
    uint8_t *page; /* 4 KB page -> region index + 1 */
    region region[255];
    uint32_t region_limit;
    block *last;
    device_access device[DEVICE_LIMIT];
    uint32_t devices, device_next, device_pc;
} probe;

uint32_t em_abi(void) { return EM_ABI; }

em_probe *em_probe_new(void) {
    probe *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->page = calloc(1u << 20, 1);
    p->hash_size = 1u << 12;
    p->hash = malloc(p->hash_size * sizeof *p->hash);
    p->face.region = calloc(256, sizeof *p->face.region);
    if (!p->page || !p->hash || !p->face.region) {
        em_probe_free(&p->face);
        return NULL;
    }
    memset(p->hash, 0xFF, p->hash_size * sizeof *p->hash);
    p->face.current = NONE;
    p->face.deadline_q8 = UINT64_MAX;
    return &p->face;
}

void em_probe_free(em_probe *face) {
    probe *p = (probe *)face;
    if (!p) return;
    for (uint32_t i = 0; i < p->face.blocks; i++) free(p->block[i]);
    free(p->block);
    free(p->hash);
    free(p->page);
    free(p->face.count);
    free(p->face.taken);
    free(p->face.stalls_q8);
    free(p->face.branches_q8);
    free(p->face.region);
    free(p);
}

int em_probe_add_region(em_probe *face, uint32_t base, uint32_t size, const void *host, uint32_t counter, uint32_t device) {
    probe *p = (probe *)face;
    if (p->region_limit >= 254 || counter >= 256) return -1;
    region *r = &p->region[p->region_limit++];
    r->base = base;
    r->counter = counter;
    r->host = host;
    r->device = device;
    r->tracked = face->memory && !device && em_tracks(face->memory, base);
    for (uint32_t page = base >> 12; page <= (base + (size - 1)) >> 12; page++) p->page[page] = (uint8_t)p->region_limit;
    if (counter >= face->regions) face->regions = counter + 1;
    return 0;
}

static uint32_t slot_of(const probe *p, uint32_t address) {
    return ((address >> 1) * 2654435761u) & (p->hash_size - 1);
}

static block *find(probe *p, uint32_t address, uint32_t size) {
    for (uint32_t at = slot_of(p, address);; at = (at + 1) & (p->hash_size - 1)) {
        uint32_t index = p->hash[at];
        if (index == NONE) return NULL;
        block *b = p->block[index];
        if (b->address == address && b->size == size) return b;
    }
}

static void insert(probe *p, uint32_t index) {
    uint32_t at = slot_of(p, p->block[index]->address);
    while (p->hash[at] != NONE) at = (at + 1) & (p->hash_size - 1);
    p->hash[at] = index;
}

static int grow(void **array, size_t item, uint32_t from, uint32_t to) {
    char *bigger = realloc(*array, item * to);
    if (!bigger) return 0;
    memset(bigger + item * from, 0, item * (to - from));
    *array = bigger;
    return 1;
}

static int make_room(probe *p) {
    em_probe *f = &p->face;
    if (f->blocks == p->capacity) {
        uint32_t to = p->capacity ? p->capacity * 2 : 1024;
        if (!grow((void **)&p->block, sizeof *p->block, p->capacity, to) ||
            !grow((void **)&f->count, 8, p->capacity, to) || !grow((void **)&f->taken, 8, p->capacity, to) ||
            !grow((void **)&f->stalls_q8, 8, p->capacity, to) || !grow((void **)&f->branches_q8, 8, p->capacity, to))
            return 0;
        p->capacity = to;
    }
    if (f->blocks * 2 >= p->hash_size) {
        uint32_t *bigger = malloc(p->hash_size * 2 * sizeof *bigger);
        if (!bigger) return 0;
        free(p->hash);
        p->hash = bigger;
        p->hash_size *= 2;
        memset(p->hash, 0xFF, p->hash_size * sizeof *p->hash);
        for (uint32_t i = 0; i < f->blocks; i++) insert(p, i);
    }
    return 1;
}

static uint32_t make_groups(group *groups, const em_access *access, uint32_t accesses) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < accesses; i++) {
        const em_access *a = &access[i];
        uint32_t g = 0;
        while (g < n && groups[g].slot != a->slot) g++;
        if (g == n) {
            memset(&groups[n++], 0, sizeof *groups);
            groups[g].slot = a->slot;
            groups[g].low = groups[g].high = a->offset;
        }
        int32_t high = a->offset + a->size - 1;
        if (a->offset < groups[g].low) groups[g].low = a->offset;
        if (high > groups[g].high) groups[g].high = high;
        if (a->write) groups[g].writes++, groups[g].bytes_written += a->size;
        else groups[g].reads++, groups[g].bytes_read += a->size;
    }
    return n;
}

int em_probe_add_block(em_probe *face, const em_block_spec *s, const em_op *operation, const em_access *access,
                       const uint32_t *prefix_q8) {
    probe *p = (probe *)face;
    if (!make_room(p)) return -1;
    size_t operations = s->operations * sizeof(em_op), accesses = s->accesses * sizeof(em_access);
    size_t prefixes = s->prefixes * sizeof(uint32_t), groups = s->accesses * sizeof(group);
    block *b = calloc(1, sizeof *b + groups + operations + accesses + prefixes);
    if (!b) return -1;
    char *tail = (char *)(b + 1);
    b->group = (group *)tail;
    b->groups = make_groups((group *)tail, access, s->accesses);
    tail += groups;
    b->operation = memcpy(tail, operation, operations);
    b->access = memcpy(tail + operations, access, accesses);
    b->prefix_q8 = memcpy(tail + operations + accesses, prefix_q8, prefixes);
    b->address = s->address;
    b->size = s->size;
    b->end = s->address + s->size;
    b->instructions = s->instructions;
    b->cycles_q8 = s->cycles_q8;
    b->taken_q8 = s->taken_q8;
    b->entry_q8 = s->entry_q8;
    b->branch_kind = s->branch_kind;
    b->branch_address = s->branch_address;
    b->flags = s->flags;
    b->unresolved = s->unresolved;
    b->operations = s->operations;
    b->accesses = s->accesses;
    b->prefixes = s->prefixes;
    b->fetch_tracked = face->memory && em_tracks(face->memory, s->address);
    b->index = face->blocks;
    p->block[face->blocks] = b;
    insert(p, face->blocks);
    return (int)face->blocks++;
}

void em_probe_mark(em_probe *face, uint32_t index, uint32_t flags_set, uint32_t flags_clear) {
    probe *p = (probe *)face;
    if (index < face->blocks) p->block[index]->flags = (p->block[index]->flags & ~flags_clear) | flags_set;
}

static uint32_t halt(em_probe *face, uint32_t reason, uint32_t address, uint32_t size) {
    face->reason = reason;
    face->stop_address = address;
    face->stop_size = size;
    if (face->stop) face->stop(face->engine);
    return reason;
}

static inline const region *region_of(const probe *p, uint32_t address) {
    uint32_t index = p->page[address >> 12];
    return index ? &p->region[index - 1] : NULL;
}

static inline int load(const probe *p, uint32_t address, uint32_t size, uint32_t *value) {
    const region *r = region_of(p, address);
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

/* Runs the block's address program; returns how many slots could not be computed. */
static uint32_t compute(const probe *p, const block *b, uint32_t *slot, uint8_t *bad) {
    uint32_t failed = 0;
    for (uint32_t i = 0; i < b->operations; i++) {
        const em_op *o = &b->operation[i];
        uint32_t x = slot[o->a], y = slot[o->b], v = 0;
        uint8_t wrong = bad[o->a] | bad[o->b];
        switch (o->op) {
        case EM_CONST: v = (uint32_t)o->immediate; wrong = 0; break;
        case EM_ADD: v = x + y; break;
        case EM_SUB: v = x - y; break;
        case EM_MUL: v = x * y; break;
        case EM_AND: v = x & y; break;
        case EM_OR: v = x | y; break;
        case EM_XOR: v = x ^ y; break;
        case EM_BIC: v = x & ~y; break;
        case EM_SHL: v = (y & 0xFF) > 31 ? 0 : x << (y & 31); break;
        case EM_SHR: v = (y & 0xFF) > 31 ? 0 : x >> (y & 31); break;
        case EM_SAR: v = (uint32_t)((int32_t)x >> ((y & 0xFF) > 31 ? 31 : (y & 31))); break;
        case EM_SHLI: v = x << (o->immediate & 31); wrong = bad[o->a]; break;
        case EM_SHRI: v = x >> (o->immediate & 31); wrong = bad[o->a]; break;
        case EM_SARI: v = (uint32_t)((int32_t)x >> (o->immediate & 31)); wrong = bad[o->a]; break;
        case EM_SEXT8: v = (uint32_t)(int8_t)x; wrong = bad[o->a]; break;
        case EM_SEXT16: v = (uint32_t)(int16_t)x; wrong = bad[o->a]; break;
        default: {
            uint32_t size = o->op == EM_LOAD32 ? 4 : o->op == EM_LOAD16 || o->op == EM_LOADS16 ? 2 : 1;
            wrong = bad[o->a];
            if (!wrong && !load(p, x + (uint32_t)o->immediate, size, &v)) wrong = 1;
            if (o->op == EM_LOADS8) v = (uint32_t)(int8_t)v;
            if (o->op == EM_LOADS16) v = (uint32_t)(int16_t)v;
        }
        }
        slot[o->to] = v;
        bad[o->to] = wrong;
        failed += wrong;
    }
    return failed;
}

static inline uint64_t data(probe *p, const block *b) {
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
    for (uint32_t i = 0; i < b->groups; i++) {
        const group *g = &b->group[i];
        uint32_t base = value[g->slot];
        const region *low = region_of(p, base + (uint32_t)g->low);
        if (bad[g->slot] || !low || low->tracked || low->device || region_of(p, base + (uint32_t)g->high) != low) {
            one_by_one = 1;
            bad[g->slot] |= 2; /* access by access below */
            continue;
        }
        em_region_count *count = &f->region[low->counter];
        count->reads += g->reads;
        count->writes += g->writes;
        count->bytes_read += g->bytes_read;
        count->bytes_written += g->bytes_written;
    }
    if (!one_by_one) return 0;
    for (uint32_t i = 0; i < b->accesses; i++) {
        const em_access *a = &b->access[i];
        if (!(bad[a->slot] & 2)) continue;
        uint32_t address = value[a->slot] + (uint32_t)a->offset;
        const region *r = bad[a->slot] & 1 ? NULL : region_of(p, address);
        if (!r) {
            f->unresolved++;
            continue;
        }
        em_region_count *count = &f->region[r->counter];
        if (a->write) count->writes++, count->bytes_written += a->size;
        else count->reads++, count->bytes_read += a->size;
        if (r->device) {
            if (p->devices < DEVICE_LIMIT)
                p->device[p->devices++] = (device_access){address, a->instruction, a->write};
        } else if (r->tracked) {
            if (a->instruction < b->prefixes) em_at(f->memory, b->prefix_q8[a->instruction]);
            stall += em_data(f->memory, b->address + 4u * a->instruction, address, a->size, a->write);
        }
    }
    return stall;
}

uint32_t em_probe_enter(em_probe *face, uint32_t address, uint32_t size) {
    probe *p = (probe *)face;
    block *from = p->last, *b;
    if (from && from->next[0] && from->next[0]->address == address && from->next[0]->size == size) b = from->next[0];
    else if (from && from->next[1] && from->next[1]->address == address && from->next[1]->size == size) b = from->next[1];
    else {
        b = find(p, address, size);
        if (!b) return halt(face, EM_UNKNOWN_BLOCK, address, size);
        if (from) from->next[1] = from->next[0], from->next[0] = b;
    }
    if (face->request) {
        if (face->request == 1) return halt(face, EM_REQUEST, address, size);
        face->request = 1; /* 2: run one more block first */
    }
    if (face->cycles_q8 >= face->deadline_q8) return halt(face, EM_DEADLINE, address, size);
    if (face->interrupt && from && (from->flags & EM_BLOCK_UNMASKS)) {
        if (face->interrupt == 1) return halt(face, EM_UNMASKED, address, size);
        face->interrupt = 1; /* 2: the host has looked, and it is still masked */
    }
    if (b->flags & EM_BLOCK_EDGE) {
        if (!face->pass_edge) return halt(face, EM_EDGE, address, size);
        face->pass_edge = 0;
    }

    uint32_t left_q8 = 0, into_q8 = 0, branch_q8 = 0;
    int sequential = from && from->end == address;
    if (from) {
        if (!sequential) {
            left_q8 = from->taken_q8;
            face->taken[from->index]++;
        }
        if (from->branch_kind && face->memory)
            branch_q8 = em_branch(face->memory, from->branch_address, address, !sequential, (int)from->branch_kind, from->taken_q8);
        face->branches_q8[from->index] += left_q8 + branch_q8;
    }
    if (!sequential) into_q8 = b->entry_q8;
    face->cycles_q8 += left_q8 + branch_q8 + into_q8;
    face->branches_q8[b->index] += into_q8;
    uint64_t stall_q8 = 0;
    if (face->memory) {
        em_execute(face->memory, left_q8 + into_q8 + b->cycles_q8);
        if (b->fetch_tracked) stall_q8 = (uint64_t)em_fetch(face->memory, address, size, sequential) << 8;
    }
    face->block_start_q8 = face->cycles_q8 + stall_q8;
    face->current = b->index;
    p->last = b;
    p->devices = 0;
    if (b->accesses) stall_q8 += data(p, b) << 8;
    face->unresolved += b->unresolved;
    face->cycles_q8 += b->cycles_q8 + stall_q8;
    face->stall_q8 += stall_q8;
    face->stalls_q8[b->index] += stall_q8;
    face->count[b->index]++;
    face->instructions += b->instructions;
    face->entered++;
    return EM_RUNNING;
}

void em_probe_access(em_probe *face, uint32_t pc, uint32_t address, uint32_t size, int write) {
    probe *p = (probe *)face;
    const region *r = region_of(p, address);
    if (!r) {
        face->unresolved++;
        return;
    }
    em_region_count *count = &face->region[r->counter];
    if (write) count->writes++, count->bytes_written += size;
    else count->reads++, count->bytes_read += size;
    if (r->tracked) {
        uint64_t stall_q8 = (uint64_t)em_data(face->memory, pc, address, size, write) << 8;
        face->cycles_q8 += stall_q8;
        face->stall_q8 += stall_q8;
        if (face->current != NONE) face->stalls_q8[face->current] += stall_q8;
    }
}

uint64_t em_probe_time(em_probe *face, uint32_t address, int write) {
    probe *p = (probe *)face;
    p->device_pc = 0;
    if (!p->last) return face->cycles_q8;
    for (uint32_t i = p->device_next; i < p->devices; i++) {
        const device_access *d = &p->device[i];
        if (d->address != address || (d->write != 0) != (write != 0)) continue;
        p->device_next = i + 1;
        p->device_pc = d->instruction + 1;
        if (d->instruction >= p->last->prefixes) break;
        return face->block_start_q8 + p->last->prefix_q8[d->instruction];
    }
    return face->block_start_q8;
}

uint32_t em_probe_pc(const em_probe *face) {
    const probe *p = (const probe *)face;
    return p->device_pc; /* instruction number + 1 within the running block */
}

void em_probe_split(em_probe *face, uint32_t whole, uint32_t head) {
    probe *p = (probe *)face;
    if (whole >= face->blocks || head >= face->blocks || whole == head) return;
    block *w = p->block[whole], *h = p->block[head];
    face->count[whole]--;
    face->count[head]++;
    face->instructions -= w->instructions - h->instructions;
    face->cycles_q8 += h->cycles_q8;
    face->cycles_q8 -= w->cycles_q8;
    face->current = head;
    if (p->last) p->last = h;
}

void em_probe_break(em_probe *face, uint32_t cost_q8) {
    probe *p = (probe *)face;
    if (face->memory && cost_q8) em_execute(face->memory, cost_q8);
    face->cycles_q8 += cost_q8;
    p->last = NULL;
    face->current = NONE;
}

void em_probe_repeat(em_probe *face, const uint64_t *count_before, const uint64_t *taken_before, const uint64_t *stalls_before,
                     uint64_t times) {
    const probe *p = (const probe *)face;
    for (uint32_t i = 0; i < face->blocks; i++) {
        uint64_t executed = (face->count[i] - count_before[i]) * times;
        if (!executed) continue;
        face->count[i] += executed;
        face->instructions += executed * p->block[i]->instructions;
        face->taken[i] += (face->taken[i] - taken_before[i]) * times;
        uint64_t stall_q8 = (face->stalls_q8[i] - stalls_before[i]) * times;
        face->stalls_q8[i] += stall_q8;
        face->stall_q8 += stall_q8;
    }
}
