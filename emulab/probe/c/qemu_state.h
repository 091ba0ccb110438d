/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* State of the QEMU plugin: blocks, instructions and translation blocks as it knows them. A part of qemu_plugin.c, which
 * includes it once, so that what runs for every block and access is compiled as one. */
#ifndef EMULAB_QEMU_STATE_H
#define EMULAB_QEMU_STATE_H
#include "probe.h"
#include "qemu_api.h"
#include "qemu_link.h"

#include <stdlib.h>
#include <string.h>

/* Kept out of line, so that what runs for almost every block or access saves no registers. */
#define SELDOM __attribute__((noinline))

enum { PAGE_SHIFT = 12, MAX_EDGES = 256, MAX_UARTS = 4, MAX_MEMORIES = 64, BUCKETS = 1 << 14 };
enum { DEVICE = 0, CONSOLE, MEMORY, MARKED }; /* what a page of the address space is; MARKED: memory with a marker */
#define UART_EDGE 0xFFFFFFFFu          /* edge ids: a byte was stored to the console */
#define PLAIN_EDGE 0xFFFFFFFEu         /* counts only */
#define UNKNOWN_BYTE 0xFFFFFFFFu

typedef struct block {
    uint32_t address, end;
    uint64_t count, taken, sequential[3]; /* not yet settled; sequential: fallen into from a block `behind` */
    uint32_t size, instructions, index; /* index in the probe's table */
    uint32_t cycles_q8, taken_q8, entry_q8, behind, late_q8[2];
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

#endif
