/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the probe does for every block that runs, and corrections to what it counted. */
#include "probe_state.h"

static uint32_t halt(em_probe *face, uint32_t reason, uint32_t address, uint32_t size) {
    face->reason = reason;
    face->stop_address = address;
    face->stop_size = size;
    if (face->stop) face->stop(face->engine);
    return reason;
}

/* Whether to stop before *b*; called only where one of the reasons may hold. */
static uint32_t stops(em_probe *face, const em_block *from, const em_block *b) {
    if (face->request) {
        if (face->request == 1) return halt(face, EM_REQUEST, b->address, b->size);
        face->request = 1; /* 2: run one more block first */
    }
    if (face->cycles_q8 >= face->deadline_q8) return halt(face, EM_DEADLINE, b->address, b->size);
    if (face->interrupt && from && (from->flags & EM_BLOCK_UNMASKS)) {
        if (face->interrupt == 1) return halt(face, EM_UNMASKED, b->address, b->size);
        face->interrupt = 1; /* 2: the host has looked, and it is still masked */
    }
    if (b->flags & EM_BLOCK_EDGE) {
        if (!face->pass_edge) return halt(face, EM_EDGE, b->address, b->size);
        face->pass_edge = 0;
    }
    return EM_RUNNING;
}

/* The block that follows *from*, looked up in the table. */
static em_block *follow(em_probe_state *p, em_block *from, uint32_t address, uint32_t size) {
    em_block *b = from ? from->next[1] : NULL;
    if (b && b->address == address && b->size == size) return b;
    b = em_find_block(p, address, size);
    if (b && from) from->next[1] = from->next[0], from->next[0] = b;
    return b;
}

uint32_t em_probe_enter(em_probe *face, uint32_t address, uint32_t size) {
    em_probe_state *p = (em_probe_state *)face;
    em_block *from = p->last, *b = from ? from->next[0] : NULL;
    if (EM_UNLIKELY(!b || b->address != address || b->size != size)) {
        b = follow(p, from, address, size);
        if (!b) return halt(face, EM_UNKNOWN_BLOCK, address, size);
    }
    uint64_t cycles_q8 = face->cycles_q8;
    if (EM_UNLIKELY(face->request | face->interrupt | (b->flags & EM_BLOCK_EDGE) || cycles_q8 >= face->deadline_q8)) {
        uint32_t reason = stops(face, from, b);
        if (reason) return reason;
    }

    em_memsim *m = face->memory;
    uint32_t before_q8 = 0, index = b->index; /* before_q8: static cost of the way from *from* */
    int sequential = from && from->end == address;
    if (EM_LIKELY(from != NULL)) {
        uint32_t left_q8 = 0;
        if (!sequential) {
            before_q8 = left_q8 = from->taken_q8;
            face->taken[from->index]++;
        }
        if (from->branch_kind) {
            uint32_t wrong_q8 = em_branch(m, from->branch_address, address, !sequential, (int)from->branch_kind, from->taken_q8);
            left_q8 += wrong_q8;
            cycles_q8 += wrong_q8;
        }
        face->branches_q8[from->index] += left_q8;
    }
    uint32_t way_q8 = b->way_q8[sequential ? from->behind : 3];
    if (way_q8) {
        before_q8 += way_q8;
        face->branches_q8[index] += way_q8;
    }
    cycles_q8 += before_q8;
    uint64_t stall_q8 = 0;
    if (m) {
        em_quick_execute(m, before_q8 + b->cycles_q8);
        if (b->fetch_tracked && EM_UNLIKELY(!em_quick_fetch(m, &b->plan, sequential))) {
            stall_q8 = (uint64_t)em_fetch(m, address, size, sequential) << 8;
            em_plan_fetch(m, &b->plan, address, size);
        }
    }
    face->block_start_q8 = cycles_q8 + stall_q8;
    face->current = index;
    p->last = b;
    p->devices = 0;
    if (b->accesses | b->divides) {
        stall_q8 += em_block_data(p, b) << 8;
        if (EM_UNLIKELY(b->divides)) {
            cycles_q8 += p->divide_q8;
            face->branches_q8[index] += p->divide_q8;
            if (m) m->executing += (uint32_t)p->divide_q8;
        }
    }
    if (b->unresolved) face->unresolved += b->unresolved;
    face->cycles_q8 = cycles_q8 + b->cycles_q8 + stall_q8;
    if (stall_q8) {
        face->stall_q8 += stall_q8;
        face->stalls_q8[index] += stall_q8;
    }
    face->count[index]++;
    face->instructions += b->instructions;
    face->entered++;
    return EM_RUNNING;
}

void em_probe_access(em_probe *face, uint32_t pc, uint32_t address, uint32_t size, int write) {
    em_probe_state *p = (em_probe_state *)face;
    const em_region *r = em_region_of(p, address);
    if (!r) {
        face->unresolved++;
        return;
    }
    em_count_access(&face->region[r->counter], size, write);
    if (r->tracked) {
        em_memsim *m = face->memory;
        uint32_t stall = EM_NOT_QUICK;
        if (r->quick && !p->plain) stall = em_quick_data(m, r->route, m->accesses * m->step_q8, pc, address, size, write);
        if (stall != EM_NOT_QUICK) m->accesses++;
        else stall = em_data(m, pc, address, size, write);
        if (!stall) return;
        uint64_t stall_q8 = (uint64_t)stall << 8;
        face->cycles_q8 += stall_q8;
        face->stall_q8 += stall_q8;
        if (face->current != EM_NO_BLOCK) face->stalls_q8[face->current] += stall_q8;
    }
}

uint64_t em_probe_time(em_probe *face, uint32_t address, int write) {
    em_probe_state *p = (em_probe_state *)face;
    p->device_pc = 0;
    if (!p->last) return face->cycles_q8;
    for (uint32_t i = p->device_next; i < p->devices; i++) {
        const em_device_access *d = &p->device[i];
        if (d->address != address || (d->write != 0) != (write != 0)) continue;
        p->device_next = i + 1;
        p->device_pc = d->instruction + 1;
        if (d->instruction >= p->last->prefixes) break;
        return face->block_start_q8 + p->last->prefix_q8[d->instruction];
    }
    return face->block_start_q8;
}

uint32_t em_probe_pc(const em_probe *face) {
    const em_probe_state *p = (const em_probe_state *)face;
    return p->device_pc; /* instruction number + 1 within the running block */
}

void em_probe_split(em_probe *face, uint32_t whole, uint32_t head) {
    em_probe_state *p = (em_probe_state *)face;
    if (whole >= face->blocks || head >= face->blocks || whole == head) return;
    em_block *w = p->block[whole], *h = p->block[head];
    face->count[whole]--;
    face->count[head]++;
    face->instructions -= w->instructions - h->instructions;
    face->cycles_q8 += h->cycles_q8;
    face->cycles_q8 -= w->cycles_q8;
    face->current = head;
    if (p->last) p->last = h;
}

void em_probe_break(em_probe *face, uint32_t cost_q8) {
    em_probe_state *p = (em_probe_state *)face;
    if (face->memory && cost_q8) em_execute(face->memory, cost_q8);
    face->cycles_q8 += cost_q8;
    p->last = NULL;
    face->current = EM_NO_BLOCK;
}

void em_probe_repeat(em_probe *face, const uint64_t *count_before, const uint64_t *taken_before, const uint64_t *stalls_before,
                     uint64_t times) {
    const em_probe_state *p = (const em_probe_state *)face;
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
