/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The probe's tables: memory regions and blocks, as the host describes them. */
#include "probe_state.h"
#include <stdlib.h>
#include <string.h>

uint32_t em_abi(void) { return EM_ABI; }

em_probe *em_probe_new(void) {
    em_probe_state *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->page = calloc(1u << 20, 1);
    p->hash_size = 1u << 12;
    p->hash = malloc(p->hash_size * sizeof *p->hash);
    p->face.region = calloc(256, sizeof *p->face.region);
    p->divider.bits = 32;
    if (!p->page || !p->hash || !p->face.region) {
        em_probe_free(&p->face);
        return NULL;
    }
    memset(p->hash, 0xFF, p->hash_size * sizeof *p->hash);
    p->face.current = EM_NO_BLOCK;
    p->face.deadline_q8 = UINT64_MAX;
    return &p->face;
}

void em_probe_free(em_probe *face) {
    em_probe_state *p = (em_probe_state *)face;
    if (!p) return;
    for (uint32_t i = 0; i < p->face.blocks; i++) {
        free(p->block[i]->plan.line);
        free(p->block[i]);
    }
    free(p->block);
    free(p->hash);
    free(p->page);
    free(p->guard);
    free(p->face.count);
    free(p->face.taken);
    free(p->face.stalls_q8);
    free(p->face.branches_q8);
    free(p->face.region);
    free(p);
}

/* Pages with guarded addresses get a copy of their region that has no short way. */
void em_probe_guard(em_probe *face, const em_guard *guard, uint32_t n) {
    em_probe_state *p = (em_probe_state *)face;
    for (uint32_t page = 0; p->guards && page < 1u << 20; page++)
        if (p->region[p->page[page]].guarded) p->page[page] = (uint8_t)(p->region[p->page[page]].guarded - 1);
    free(p->guard);
    p->guards = 0;
    p->guard = n ? malloc(n * sizeof *guard) : NULL;
    if (!p->guard) return;
    memcpy(p->guard, guard, n * sizeof *guard);
    p->guards = n;
    for (uint32_t g = 0; g < n; g++) {
        for (uint32_t page = guard[g].start >> 12; page <= guard[g].last >> 12; page++) {
            uint32_t index = p->page[page], copy = 1;
            if (!index || p->region[index].guarded) continue;
            while (copy <= p->region_limit && p->region[copy].guarded != index + 1) copy++;
            if (copy > p->region_limit) {
                if (p->region_limit >= EM_REGION_LIMIT) return;
                copy = ++p->region_limit;
                p->region[copy] = p->region[index];
                p->region[copy].guarded = index + 1;
                p->region[copy].quick = p->region[copy].quiet = 0;
            }
            p->page[page] = (uint8_t)copy;
        }
    }
}

void em_probe_divider(em_probe *face, const em_divider *divider) {
    em_probe_state *p = (em_probe_state *)face;
    p->divider = *divider;
    if (!p->divider.bits) p->divider.bits = 32;
}

void em_probe_plain(em_probe *face, int plain) {
    em_probe_state *p = (em_probe_state *)face;
    p->plain = plain != 0;
    if (face->memory) em_plain(face->memory, plain);
}

/* What the memory simulator does with all of the region, where that can be told beforehand. */
static void find_route(em_region *r, const em_memsim *m) {
    uint32_t found = 0;
    r->route = m ? em_route_of(m, r->base, &found) : NULL;
    if (r->route && r->base + (r->size - 1) - r->route->base >= r->route->size) r->route = NULL;
    if (r->device) return;
    if (!r->tracked) {
        r->quiet = r->quick = 1;
    } else if (r->route) {
        r->quick = 1;
        r->quiet = r->route->quick[READ] == QUICK_QUIET && r->route->quick[WRITE] == QUICK_QUIET;
        if (r->route->bus) r->bus = r->route->bus << 16 | (r->route->slave & 0xFFFF);
    }
}

int em_probe_add_region(em_probe *face, uint32_t base, uint32_t size, const void *host, uint32_t counter, uint32_t device) {
    em_probe_state *p = (em_probe_state *)face;
    if (p->region_limit >= EM_REGION_LIMIT || counter >= 256) return -1;
    em_region *r = &p->region[++p->region_limit];
    *r = (em_region){.base = base, .size = size, .counter = counter, .host = host, .device = device};
    r->tracked = face->memory && !device && em_tracks(face->memory, base);
    find_route(r, face->memory);
    for (uint32_t page = base >> 12; page <= (base + (size - 1)) >> 12; page++) p->page[page] = (uint8_t)p->region_limit;
    if (counter >= face->regions) face->regions = counter + 1;
    return 0;
}

static uint32_t slot_of(const em_probe_state *p, uint32_t address) {
    return ((address >> 1) * 2654435761u) & (p->hash_size - 1);
}

em_block *em_find_block(em_probe_state *p, uint32_t address, uint32_t size) {
    for (uint32_t at = slot_of(p, address);; at = (at + 1) & (p->hash_size - 1)) {
        uint32_t index = p->hash[at];
        if (index == EM_NO_BLOCK) return NULL;
        em_block *b = p->block[index];
        if (b->address == address && b->size == size) return b;
    }
}

static void insert(em_probe_state *p, uint32_t index) {
    uint32_t at = slot_of(p, p->block[index]->address);
    while (p->hash[at] != EM_NO_BLOCK) at = (at + 1) & (p->hash_size - 1);
    p->hash[at] = index;
}

static int grow(void **array, size_t item, uint32_t from, uint32_t to) {
    char *bigger = realloc(*array, item * to);
    if (!bigger) return 0;
    memset(bigger + item * from, 0, item * (to - from));
    *array = bigger;
    return 1;
}

static int make_room(em_probe_state *p) {
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

static uint32_t make_groups(em_group *groups, uint8_t *group_of, const em_access *access, uint32_t accesses) {
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
        group_of[i] = (uint8_t)g;
        int32_t high = a->offset + a->size - 1;
        if (a->offset < groups[g].low) groups[g].low = a->offset;
        if (high > groups[g].high) groups[g].high = high;
        groups[g].align |= (uint8_t)(a->size - 1);
        groups[g].odd |= ((uint32_t)a->offset & (a->size - 1u)) != 0;
        if (a->write) groups[g].writes++, groups[g].bytes_written += a->size;
        else groups[g].reads++, groups[g].bytes_read += a->size;
    }
    return n;
}

int em_probe_add_block(em_probe *face, const em_block_spec *s, const em_op *operation, const em_access *access,
                       const uint32_t *prefix_q8, const em_divide *divide) {
    em_probe_state *p = (em_probe_state *)face;
    if (!make_room(p)) return -1;
    size_t operations = s->operations * sizeof(em_op), accesses = s->accesses * sizeof(em_access);
    size_t prefixes = s->prefixes * sizeof(uint32_t), groups = s->accesses * sizeof(em_group);
    size_t divides = s->divides * sizeof(em_divide);
    em_block *b = calloc(1, sizeof *b + groups + operations + accesses + prefixes + divides + s->accesses);
    if (!b) return -1;
    char *tail = (char *)(b + 1);
    b->group = (em_group *)tail;
    tail += groups;
    b->operation = memcpy(tail, operation, operations);
    b->access = memcpy(tail + operations, access, accesses);
    b->prefix_q8 = memcpy(tail + operations + accesses, prefix_q8, prefixes);
    b->divide = s->divides ? memcpy(tail + operations + accesses + prefixes, divide, divides) : NULL;
    b->access_group = (uint8_t *)(tail + operations + accesses + prefixes + divides);
    b->groups = make_groups((em_group *)b->group, (uint8_t *)b->access_group, access, s->accesses);
    b->address = s->address;
    b->size = s->size;
    b->end = s->address + s->size;
    b->instructions = s->instructions;
    b->cycles_q8 = s->cycles_q8;
    b->taken_q8 = s->taken_q8;
    b->behind = s->behind < 3 ? s->behind : 0;
    b->way_q8[1] = s->late_q8[0], b->way_q8[2] = s->late_q8[1], b->way_q8[3] = s->entry_q8;
    b->branch_kind = face->memory && face->memory->predicts ? s->branch_kind : 0;
    b->branch_address = s->branch_address;
    b->flags = s->flags;
    b->unresolved = s->unresolved;
    b->operations = s->operations;
    b->accesses = s->accesses;
    b->divides = s->divides;
    b->prefixes = s->prefixes;
    b->fetch_tracked = face->memory && em_tracks(face->memory, s->address);
    b->index = face->blocks;
    b->quick = !p->plain && face->registers && b->groups <= EM_GROUP_LIMIT;
    for (uint32_t i = 0; i < s->accesses; i++) {
        if (access[i].instruction >= s->prefixes) b->quick = 0;
        b->last_pc = b->address + 4u * access[i].instruction;
    }
    p->block[face->blocks] = b;
    insert(p, face->blocks);
    return (int)face->blocks++;
}

void em_probe_mark(em_probe *face, uint32_t index, uint32_t flags_set, uint32_t flags_clear) {
    em_probe_state *p = (em_probe_state *)face;
    if (index < face->blocks) p->block[index]->flags = (p->block[index]->flags & ~flags_clear) | flags_set;
}
