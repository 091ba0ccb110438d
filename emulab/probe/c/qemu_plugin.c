/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The probe as a QEMU TCG plugin: exact counts per block, sent to the host at every window edge.
 *
 * Tables, prices and the memory simulator are probe.c, shared with the embedded engine. Where memories cost nothing, which is
 * known before the run, blocks and accesses are counted here in a few instructions each and handed to the probe at every
 * edge (settle); else each goes through the probe at once. QEMU tells when a translation block (TB) starts, and it
 * counts as a whole then. Two things make the counts exact: a window edge inside a TB splits it; and under -icount an access
 * to a device that is not the last of its TB makes QEMU leave the TB and run that one instruction again with memory
 * callbacks only (seen here as an access whose TB is not the one that runs), which splits it as well. */
#define _GNU_SOURCE
#include "probe.h"
#include "qemu_api.h"
#include "qemu_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Kept out of line, so that what runs for almost every block or access saves no registers. */
#define SELDOM __attribute__((noinline))

PLUGIN_EXPORT int qemu_plugin_version = EMULAB_PLUGIN_API;

enum { PAGE_SHIFT = 12, MAX_EDGES = 256, MAX_UARTS = 4, MAX_MEMORIES = 64, BUCKETS = 1 << 14 };
enum { DEVICE = 0, CONSOLE, MEMORY, MARKED }; /* what a page of the address space is; MARKED: memory with a marker */
#define UART_EDGE 0xFFFFFFFFu          /* edge ids: a byte was stored to the console */
#define PLAIN_EDGE 0xFFFFFFFEu         /* counts only */
#define UNKNOWN_BYTE 0xFFFFFFFFu

typedef struct block {
    uint32_t address, end;
    uint64_t count, taken, sequential; /* not yet settled; sequential: entered by falling through */
    uint32_t size, instructions, index; /* index in the probe's table */
    uint32_t cycles_q8, taken_q8, entry_q8;
    int branches, touched;
    struct block *next; /* in its bucket */
} block;

typedef struct insn {
    uint32_t base, span; /* accesses that `hits` counts: [base, base+span) */
    uint64_t hits;
    uint32_t misaligned; /* address bits that send an access the long way */
    struct tb *tb;
    uint32_t address, index, bytes;
    uint32_t access_bytes; /* 0 until the first access, and always where one instruction both loads and stores */
    int stores, atomic;
    int pair;       /* LDRD or STRD: two words, which newer QEMU accesses as one of 8 bytes */
    uint32_t words; /* accesses to count where QEMU reports one */
    uint32_t counter; /* region of [base, base+span) */
    struct insn *next_active;
} insn;

typedef struct tb {
    block *block;
    insn *insns;
    uint32_t instructions;
    uint8_t code[];
} tb;

typedef struct {
    uint32_t id, address;
    int partner; /* the other end of the window where both are addresses, else -1 */
    int armed;
    int stored; /* an edge where the address is stored to (a marker), not where it is executed */
} edge;

typedef struct {
    uint64_t count, taken, stalls_q8, branches_q8;
} counts;

static em_probe *probe;
static uint8_t page_kind[1u << (32 - PAGE_SHIFT)];
static edge edges[MAX_EDGES];
static unsigned edge_count;
static struct {
    uint32_t store, load, poll;
} uarts[MAX_UARTS];
static unsigned uart_count, uart_delays, count_memory = 1; /* uart_delays: it sends later than it is stored to */
static int asleep;
static int riscv; /* whose atomic instructions load and store */
static struct {
    uint32_t base, size, offset;
} moved[MAX_UARTS * 4]; /* addresses as the timed platform has them, where the machine's map is another one */
static unsigned moved_count;
static em_memsim *misaligned; /* asked about misaligned accesses only, where nothing else of a memory costs */
static uint32_t *memory_config;
static size_t memory_words;

static block *buckets[BUCKETS];
static counts *sent; /* per block of the table: what the host has been told */
static uint32_t sent_room;
static const tb *current_tb;
static const tb *looping; /* the TB that ran twice in a row: the next turn changes nothing but its counts */
static uint64_t again;    /* turns since, not yet in its block's */
static block nowhere = {.end = 1};                              /* before the first block */
static block *current = &nowhere, *previous = &nowhere, *rest; /* what runs, what ran before; what a split left to run */
static uint64_t before_q8, before_stall_q8; /* totals before the current one was entered */
static block **touched;       /* blocks and instructions with counts to settle */
static size_t touched_count, touched_room;
static insn *active;
static struct {
    uint32_t base, size, counter;
} memories[MAX_MEMORIES];
static unsigned memory_count;
static uint64_t idle_ns, unheeded_ns; /* asleep by itself; until the host spoke, which is not the firmware's time */
static unsigned shift; /* an instruction takes 2^shift ns of QEMU's time */
static uint32_t idles;

uint32_t plugin_pc(void) { return current->address; }

static void *must(void *memory) {
    if (!memory) abort();
    return memory;
}

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
        uint64_t branches_q8 = b->taken * b->taken_q8 + (b->count - b->sequential) * b->entry_q8;
        probe->count[b->index] += b->count, probe->taken[b->index] += b->taken;
        probe->branches_q8[b->index] += branches_q8;
        probe->instructions += b->count * b->instructions;
        probe->cycles_q8 += b->count * b->cycles_q8 + branches_q8;
        b->count = b->taken = b->sequential = 0, b->touched = 0;
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
    uint32_t price[4];
    b->address = address, b->size = size, b->instructions = instructions, b->index = probe->blocks;
    link_begin(BLOCK);
    link_word(b->index), link_word(address), link_word(size), link_word(instructions), link_bytes(code, size);
    link_end(1);
    link_price(price);
    b->end = address + size, b->branches = price[3] != 0;
    b->cycles_q8 = price[0], b->taken_q8 = price[1], b->entry_q8 = price[2];
    b->next = *bucket, *bucket = b;
    em_block_spec spec = {.address = translate(address),
                          .size = size,
                          .instructions = instructions,
                          .cycles_q8 = price[0],
                          .taken_q8 = price[1],
                          .entry_q8 = price[2],
                          .branch_kind = price[3],
                          .branch_address = translate(last)};
    if (em_probe_add_block(probe, &spec, NULL, NULL, NULL) < 0) abort();
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
        b->sequential++;
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
    if (from->end == b->address) b->sequential++;
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

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* Where QEMU left the running TB at this access and ran the instruction on its own, what follows was not executed. */
static const insn *where(const insn *i) {
    if (i->tb == current_tb) return i;
    for (uint32_t k = 0; k < current_tb->instructions; k++) {
        if (current_tb->insns[k].address == i->address) {
            split(k + 1);
            return &current_tb->insns[k];
        }
    }
    return i;
}

static void console_access(const insn *i, uint32_t address, int is_write) {
    for (unsigned u = 0; u < uart_count; u++) {
        if (is_write && address == uarts[u].store) {
            int sent = output_stored((int)uart_delays);
            if (sent >= 0 || uart_delays) edge_before(i, UART_EDGE, sent >= 0 ? (uint32_t)sent : UNKNOWN_BYTE);
        } else if (!is_write && address == uarts[u].load && input_loaded()) {
            continue;
        } else if (!is_write && address == uarts[u].poll) {
            if (!uart_delays || !output_pending()) input_polled(send_counts);
        }
    }
}

/* An access that `hits` does not count. */
static void access_word(insn *i, uint32_t address, uint32_t bytes) {
    if (page_kind[address >> PAGE_SHIFT] < MEMORY) {
        const insn *at = where(i);
        em_probe_access(probe, i->address, address, bytes, i->stores);
        if (page_kind[address >> PAGE_SHIFT] == CONSOLE) console_access(at, address, i->stores);
        return;
    }
    em_probe_access(probe, translate(i->address), translate(address), bytes, i->stores);
    if (page_kind[address >> PAGE_SHIFT] == MARKED && i->stores) reach(i, address, 1);
    if (misaligned && bytes > 1 && address & (bytes - 1)) {
        uint64_t stall_q8 = (uint64_t)em_data(misaligned, translate(i->address), translate(address), bytes, i->stores) << 8;
        probe->cycles_q8 += stall_q8, probe->stall_q8 += stall_q8;
        probe->stalls_q8[current->index] += stall_q8;
    }
    if (probe->memory || i->atomic || i->span) return;
    i->misaligned = misaligned ? bytes - 1 : 0;
    for (unsigned m = 0; m < memory_count; m++) {
        if (address - memories[m].base >= memories[m].size || page_kind[address >> PAGE_SHIFT] == MARKED) continue;
        i->base = memories[m].base, i->span = memories[m].size, i->counter = memories[m].counter;
        for (unsigned e = 0; e < edge_count; e++) { /* an access to a page with a marker goes the long way */
            uint32_t page = edges[e].address >> PAGE_SHIFT << PAGE_SHIFT, size = 1u << PAGE_SHIFT;
            if (!edges[e].stored || page - i->base >= i->span) continue;
            if (address < page) i->span = page - i->base;
            else i->span -= page + size - i->base, i->base = page + size;
        }
        i->span -= (i->words - 1) * bytes;
        i->next_active = active, active = i;
    }
}

/* The first access of an instruction since the last edge, or one outside the memory of the one before. */
static SELDOM void access_elsewhere(insn *i, qemu_plugin_meminfo_t info, uint32_t address) {
    uint32_t bytes = i->access_bytes;
    if (!bytes) {
        bytes = 1u << qemu_plugin_mem_size_shift(info);
        i->stores = qemu_plugin_mem_is_store(info);
        i->words = i->pair && bytes == 8 ? 2 : 1;
        bytes /= i->words;
        if (!i->atomic) i->access_bytes = bytes;
    }
    access_word(i, address, bytes);
    if (i->words == 2) access_word(i, address + bytes, bytes);
}

static void on_access(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *user) {
    (void)vcpu;
    insn *i = user;
    if ((uint32_t)vaddr - i->base < i->span && !(vaddr & i->misaligned)) i->hits++;
    else access_elsewhere(i, info, (uint32_t)vaddr);
}

/* ---- what QEMU calls ----------------------------------------------------------------------------------------- */

static size_t code_of(const struct qemu_plugin_insn *q, uint8_t *to, size_t size) {
#if EMULAB_PLUGIN_API >= 3
    return qemu_plugin_insn_data(q, to, size);
#else
    memcpy(to, qemu_plugin_insn_data(q), size);
    return size;
#endif
}

static int is_wfi(const uint8_t *code, uint32_t size) {
    return riscv ? size == 4 && !memcmp(code, "\x73\x00\x50\x10", 4) : size == 2 && !memcmp(code, "\x30\xbf", 2);
}

/* Bytes of an instruction, from its first halfword. (QEMU's own size counts a halfword too many at the end of a page, where
 * it has looked at what follows.) */
static uint32_t length_of(const uint8_t *code) {
    if (riscv) return (code[0] & 3) == 3 ? 4 : 2;
    return code[1] >> 3 >= 0x1D ? 4 : 2;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *q) {
    (void)id;
    size_t n = qemu_plugin_tb_n_insns(q), size = 0;
    if (!n) return;
    tb *t = must(malloc(sizeof *t + n * 4 + 16));
    insn *list = must(calloc(n, sizeof *list));
    t->insns = list, t->instructions = (uint32_t)n;
    for (size_t k = 0; k < n; k++) {
        struct qemu_plugin_insn *qi = qemu_plugin_tb_get_insn(q, k);
        uint8_t *code = t->code + size;
        list[k].tb = t, list[k].index = (uint32_t)k;
        list[k].address = (uint32_t)qemu_plugin_insn_vaddr(qi);
        size_t all = qemu_plugin_insn_size(qi);
        code_of(qi, code, all < 8 ? all : 8);
        list[k].bytes = length_of(code);
        list[k].atomic = riscv && (code[0] & 0x7F) == 0x2F;
        list[k].pair = !riscv && (code[1] & 0xFE) == 0xE8 && code[0] & 0x40;
        size += list[k].bytes;
    }
    t->block = find_block(list[0].address, (uint32_t)size, (uint32_t)n, list[n - 1].address, t->code);
    qemu_plugin_register_vcpu_tb_exec_cb(q, probe->memory ? on_block_simulated : on_block, QEMU_PLUGIN_CB_NO_REGS, t);
    for (size_t k = 0; k < n; k++) {
        struct qemu_plugin_insn *qi = qemu_plugin_tb_get_insn(q, k);
        for (unsigned e = 0; e < edge_count; e++) {
            if (edges[e].address == list[k].address && !edges[e].stored) {
                qemu_plugin_register_vcpu_insn_exec_cb(qi, on_edge, QEMU_PLUGIN_CB_NO_REGS, &list[k]);
                break;
            }
        }
        if (is_wfi(t->code + (list[k].address - list[0].address), list[k].bytes)) {
            qemu_plugin_register_vcpu_insn_exec_cb(qi, on_sleep, QEMU_PLUGIN_CB_NO_REGS, &list[k]);
        }
        if (count_memory) {
            qemu_plugin_register_vcpu_mem_cb(qi, on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, &list[k]);
        }
    }
}

static void on_quit(qemu_plugin_id_t id, void *user) {
    (void)id, (void)user;
    send_edge(EXIT, 0, UNKNOWN_BYTE);
}

/* ---- installation -------------------------------------------------------------------------------------------- */

static void mark(uint32_t base, uint32_t size, unsigned kind) {
    uint64_t last = (uint64_t)base + size - 1;
    for (uint64_t page = base >> PAGE_SHIFT; page <= last >> PAGE_SHIFT; page++) page_kind[page] = (uint8_t)kind;
}

/* One line of the configuration: a word and numbers. Returns 0 where it is not understood. */
static int configure(const char *line) {
    unsigned a, b, c, d;
    int partner;
    if (sscanf(line, "region %x %x %u %u", &a, &b, &c, &d) == 4 && b) {
        if (em_probe_add_region(probe, translate(a), b, NULL, c, d)) return 0;
        mark(a, b, d ? DEVICE : MEMORY);
        if (!d && memory_count < MAX_MEMORIES) {
            memories[memory_count].base = a, memories[memory_count].size = b, memories[memory_count++].counter = c;
        }
    } else if (sscanf(line, "uart %x %x %x", &a, &b, &c) == 3 && uart_count < MAX_UARTS) {
        uarts[uart_count].store = a, uarts[uart_count].load = b, uarts[uart_count].poll = c;
        uart_count++;
        page_kind[a >> PAGE_SHIFT] = page_kind[b >> PAGE_SHIFT] = page_kind[c >> PAGE_SHIFT] = CONSOLE;
    } else if (sscanf(line, "edge %u %x %d %u", &a, &b, &partner, &d) == 4 && edge_count < MAX_EDGES) {
        edges[edge_count++] = (edge){.id = a, .address = b, .partner = partner, .armed = (int)d};
    } else if (sscanf(line, "marker %u %x %d %u", &a, &b, &partner, &d) == 4 && edge_count < MAX_EDGES) {
        edges[edge_count++] = (edge){.id = a, .address = b, .partner = partner, .armed = (int)d, .stored = 1};
        page_kind[b >> PAGE_SHIFT] = MARKED;
    } else if (sscanf(line, "uart_delays %u", &a) == 1) {
        uart_delays = a;
    } else if (sscanf(line, "count_memory %u", &a) == 1) {
        count_memory = a;
    } else if (sscanf(line, "fifo %u", &a) == 1) {
        link_fifo(a);
    } else if (sscanf(line, "shift %u", &a) == 1) {
        shift = a;
    } else if (sscanf(line, "moved %x %x %x", &a, &b, &c) == 3 && moved_count < sizeof moved / sizeof *moved) {
        moved[moved_count].base = a, moved[moved_count].size = b, moved[moved_count++].offset = c;
    } else if (sscanf(line, "memory %x", &a) == 1) {
        memory_config = must(realloc(memory_config, (memory_words + 1) * sizeof *memory_config));
        memory_config[memory_words++] = a;
    } else if (sscanf(line, "simulate %u", &a) == 1) {
        em_memsim *memory = must(em_new(memory_config, memory_words));
        if (a) probe->memory = memory;
        else misaligned = memory;
    } else {
        return 0;
    }
    return 1;
}

static int read_configuration(const char *path) {
    char line[256];
    FILE *file = fopen(path, "r");
    int understood = file != NULL;
    while (understood && fgets(line, sizeof line, file)) understood = configure(line);
    if (file) fclose(file);
    if (!understood) fprintf(stderr, "emulab probe: cannot read its configuration\n");
    return understood;
}

static const char *option(int argc, char **argv, const char *name) {
    size_t length = strlen(name);
    for (int k = 0; k < argc; k++) {
        if (!strncmp(argv[k], name, length) && argv[k][length] == '=') return argv[k] + length + 1;
    }
    return "";
}

PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    riscv = !strncmp(info->target_name, "riscv", 5);
    probe = must(em_probe_new());
    if (!read_configuration(option(argc, argv, "config"))) return -1;
    if (link_open(atoi(option(argc, argv, "events")), atoi(option(argc, argv, "commands")), option(argc, argv, "input"),
                  option(argc, argv, "wake"), option(argc, argv, "log"))) {
        return -1;
    }
    link_clock(atoi(option(argc, argv, "clock")), atoi(option(argc, argv, "sink")), option(argc, argv, "dump"));
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_quit, NULL);
    return 0;
}
