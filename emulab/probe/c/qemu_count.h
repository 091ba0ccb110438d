/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the QEMU plugin does when a block or an edge is reached: counts, and the records that tell the host of them. A part
 * of qemu_plugin.c, which includes it once. */
#ifndef EMULAB_QEMU_COUNT_H
#define EMULAB_QEMU_COUNT_H
#include "qemu_state.h"

/* ---- records ------------------------------------------------------------------------------------------------- */

static void send_block_counts(void) {
    if (sent_room < probe->blocks) {
        sent = must(realloc(sent, probe->blocks * 2 * sizeof *sent));
        memset(sent + sent_room, 0, (probe->blocks * 2 - sent_room) * sizeof *sent);
        sent_room = probe->blocks * 2;
    }
    for (uint32_t i = 0; i < probe->blocks; i++) {
        counts now = {probe->count[i], probe->taken[i], probe->stalls_q8[i], probe->branches_q8[i]};
        counts *old = &sent[i];
        if (now.count == old->count && now.taken == old->taken && now.branches_q8 == old->branches_q8) continue;
        link_word(i), link_word(0);
        link_long(now.count - old->count), link_long(now.taken - old->taken);
        link_long(now.stalls_q8 - old->stalls_q8), link_long(now.branches_q8 - old->branches_q8);
        *old = now;
    }
}

/* Count the turns of a loop of one TB. */
static void settle_loop(void) {
    if (again) looping->block->count += again, looping->block->taken += again;
    looping = NULL, again = 0;
}

/* Hand what was counted here to the probe. */
static void settle(void) {
    settle_loop();
    for (size_t i = 0; i < touched_count; i++) {
        block *b = touched[i];
        if (!b->branches) b->taken = 0;
        uint64_t fallen = b->sequential[0] + b->sequential[1] + b->sequential[2];
        uint64_t branches_q8 = b->taken * b->taken_q8 + (b->count - fallen) * b->entry_q8 +
                               b->sequential[1] * b->late_q8[0] + b->sequential[2] * b->late_q8[1];
        probe->count[b->index] += b->count, probe->taken[b->index] += b->taken;
        probe->branches_q8[b->index] += branches_q8;
        probe->instructions += b->count * b->instructions;
        probe->cycles_q8 += b->count * b->cycles_q8 + branches_q8;
        b->count = b->taken = 0, b->touched = 0;
        b->sequential[0] = b->sequential[1] = b->sequential[2] = 0;
    }
    touched_count = 0;
    for (insn *i = active, *next; i; i = next) {
        em_region_count *r = &probe->region[i->counter];
        next = i->next_active;
        uint64_t hits = i->hits * i->words;
        if (i->stores) r->writes += hits, r->bytes_written += hits * i->access_bytes;
        else r->reads += hits, r->bytes_read += hits * i->access_bytes;
        i->hits = 0, i->span = 0, i->next_active = NULL;
    }
    active = NULL;
}

/* Everything counted: totals so far, and per block since the last edge. */
static void send_edge(uint32_t type, uint32_t id, uint32_t value) {
    settle();
    uint64_t counters[64];
    const em_memsim *memory = probe->memory ? probe->memory : misaligned;
    size_t n = memory ? em_counters(memory, counters, 64) : 0;
    if (n > 64) n = 64;
    link_begin(type);
    link_word(id), link_word(value), link_word(idles), link_word(input_late());
    link_long(probe->cycles_q8), link_long(probe->instructions), link_long(probe->stall_q8), link_long(idle_ns);
    link_word(probe->regions), link_word((uint32_t)n);
    link_bytes(probe->region, probe->regions * sizeof *probe->region);
    link_bytes(counters, n * sizeof *counters);
    send_block_counts();
    link_end(1);
}

static void send_counts(void) { send_edge(EDGE, PLAIN_EDGE, UNKNOWN_BYTE); }

/* ---- counting ------------------------------------------------------------------------------------------------ */

static uint32_t translate(uint32_t address) {
    for (unsigned i = 0; i < moved_count; i++) {
        if (address - moved[i].base < moved[i].size) return address + moved[i].offset;
    }
    return address;
}

static block *find_block(uint32_t address, uint32_t size, uint32_t instructions, uint32_t last, const uint8_t *code) {
    block **bucket = &buckets[(address >> 1) * 2654435761u >> 18];
    for (block *b = *bucket; b; b = b->next) {
        if (b->address == address && b->size == size) return b;
    }
    block *b = must(calloc(1, sizeof *b));
    uint32_t price[PRICE_WORDS];
    b->address = address, b->size = size, b->instructions = instructions, b->index = probe->blocks;
    link_begin(BLOCK);
    link_word(b->index), link_word(address), link_word(size), link_word(instructions), link_bytes(code, size);
    link_end(1);
    link_price(price);
    b->end = address + size, b->branches = price[3] != 0;
    b->cycles_q8 = price[0], b->taken_q8 = price[1], b->entry_q8 = price[2];
    b->behind = price[4] < 3 ? price[4] : 0, b->late_q8[0] = price[5], b->late_q8[1] = price[6];
    b->next = *bucket, *bucket = b;
    em_block_spec spec = {.address = translate(address),
                          .size = size,
                          .instructions = instructions,
                          .cycles_q8 = price[0],
                          .taken_q8 = price[1],
                          .entry_q8 = price[2],
                          .branch_kind = price[3],
                          .behind = b->behind,
                          .late_q8 = {price[5], price[6]},
                          .branch_address = translate(last)};
    if (em_probe_add_block(probe, &spec, NULL, NULL, NULL, NULL) < 0) abort();
    return b;
}

static void touch(block *b) {
    if (b->touched) return;
    b->touched = 1;
    if (touched_count == touched_room) {
        touched_room = touched_room * 2 + 1024;
        touched = must(realloc(touched, touched_room * sizeof *touched));
    }
    touched[touched_count++] = b;
}

/* Control reaches *b*, the memory simulator's way. */
static void enter_simulated(block *b) {
    block *from = current;
    /* Left elsewhere than by a branch: an exception was taken. */
    if (!from->branches && from->end != b->address) em_probe_break(probe, 0);
    before_q8 = probe->cycles_q8, before_stall_q8 = probe->stall_q8;
    em_probe_enter(probe, translate(b->address), b->size);
    previous = from, current = b;
}

/* Control reaches *b*: this is what every block costs, so a block left by an exception counts as taken, and settle knows. */
static inline void enter_counted(block *b) {
    block *from = current;
    previous = from, current = b;
    if (!b->count++) touch(b);
    if (from->end == b->address) {
        b->sequential[from->behind]++;
    } else {
        if (!(from->count | from->taken)) touch(from);
        from->taken++;
    }
}

static void enter(block *b) {
    settle_loop();
    if (probe->memory) enter_simulated(b);
    else enter_counted(b);
}

/* The first block after a sleep. QEMU's time is that of the instructions executed, and what was slept. */
static void wake(void) {
    int own = input_wakes();
    settle();
    uint64_t now = virtual_ns(), told = (probe->instructions << shift) + idle_ns + unheeded_ns;
    if (now > told) *(own ? &idle_ns : &unheeded_ns) += now - told;
    idles++;
    asleep = 0;
}

static SELDOM void enter_other(const tb *t) {
    if (asleep) wake();
    settle_loop();
    current_tb = t;
    enter_counted(t->block);
    if (previous == current) looping = t;
}

static void on_block(unsigned int vcpu, void *user) {
    (void)vcpu;
    if (user == looping) {
        again++;
        return;
    }
    const tb *t = user;
    block *b = t->block, *from = current;
    if (looping || asleep || from == b || !b->count || !(from->count | from->taken)) {
        enter_other(t);
        return;
    }
    current_tb = t, previous = from, current = b; /* enter_counted, with nothing to touch */
    b->count++;
    if (from->end == b->address) b->sequential[from->behind]++;
    else from->taken++;
}

static void on_block_simulated(unsigned int vcpu, void *user) {
    (void)vcpu;
    const tb *t = user;
    if (asleep) wake();
    current_tb = t;
    enter_simulated(t->block);
}

static block *part_of(const tb *t, uint32_t from, uint32_t to) {
    uint32_t base = t->block->address, start = t->insns[from].address;
    uint32_t stop = to < t->instructions ? t->insns[to].address : base + t->block->size;
    return find_block(start, stop - start, to - from, t->insns[to - 1].address, t->code + (start - base));
}

/* Take back from the counts what the running TB has not executed yet: instruction `index`, which is not its first, and
 * those after it. Returns where such a rest exists; enter(rest) counts it again. */
static int split(uint32_t index) {
    const tb *t = current_tb;
    uint32_t from = 0, to;
    while (from < t->instructions && t->insns[from].address < current->address) from++;
    to = from + current->instructions;
    if (index >= to || index <= from) return 0;
    block *head = part_of(t, from, index);
    rest = part_of(t, index, to);
    settle();
    em_probe_split(probe, current->index, head->index);
    current = head;
    return 1;
}

/* An edge just before the running instruction. Before the first of a block the counts are sent as if it had not been
 * entered: the branch that led there comes after the edge. */
static void edge_before(const insn *i, uint32_t id, uint32_t value) {
    if (i->address != current->address) {
        int more = split(i->index);
        send_edge(EDGE, id, value);
        if (more) enter(rest);
        return;
    }
    settle();
    uint64_t cycles_q8 = probe->memory ? probe->cycles_q8 - before_q8 : current->cycles_q8;
    uint64_t stall_q8 = probe->memory ? probe->stall_q8 - before_stall_q8 : 0, branch_q8 = 0;
    block *from = previous->branches && previous->end != current->address ? previous : NULL;
    uint32_t late = !from && previous->end == current->address ? previous->behind : 0;
    if (late && !probe->memory) branch_q8 = current->late_q8[late - 1], cycles_q8 += branch_q8;
    if (from && !probe->memory) branch_q8 = from->taken_q8 + current->entry_q8, cycles_q8 += branch_q8;
    probe->count[current->index]--, probe->instructions -= current->instructions;
    probe->cycles_q8 -= cycles_q8, probe->stall_q8 -= stall_q8, probe->branches_q8[current->index] -= branch_q8;
    if (from) probe->taken[from->index]--;
    send_edge(EDGE, id, value);
    if (from) probe->taken[from->index]++;
    probe->count[current->index]++, probe->instructions += current->instructions;
    probe->cycles_q8 += cycles_q8, probe->stall_q8 += stall_q8, probe->branches_q8[current->index] += branch_q8;
}

/* Before an instruction that sleeps. (QEMU's own idle callbacks do not come under -icount.) QEMU leaves the TB there. */
static void on_sleep(unsigned int vcpu, void *user) {
    (void)vcpu;
    const insn *i = user;
    split(i->index + 1);
    input_sleeps(send_counts);
    settle_loop();
    asleep = 1;
}

static void reach(const insn *i, uint32_t address, int stored) {
    uint8_t hit[MAX_EDGES];
    for (unsigned e = 0; e < edge_count; e++) {
        hit[e] = edges[e].address == address && edges[e].armed && edges[e].stored == stored;
    }
    for (unsigned e = 0; e < edge_count; e++) {
        if (!hit[e]) continue;
        if (edges[e].partner >= 0) edges[e].armed = 0, edges[edges[e].partner].armed = 1;
        edge_before(i, edges[e].id, UNKNOWN_BYTE);
    }
}

static void on_edge(unsigned int vcpu, void *user) {
    (void)vcpu;
    const insn *i = user;
    reach(i, i->address, 0);
}

#endif
