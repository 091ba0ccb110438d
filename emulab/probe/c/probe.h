/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The probe: what an emulated core executes, counted exactly and priced in line.
 *
 * An engine (Unicorn hook, QEMU plugin) calls em_probe_enter for every basic block it is about to execute. The probe
 * looks the block up in its table, counts it, adds its static cost, the taken branch that led to it, and the stalls
 * the memory simulator (memsim.h) finds for its fetch and its data accesses. A block the table does not know, a passed
 * deadline or a marked block stops the engine before the block runs; the host then looks at `reason`.
 *
 * Time is in 1/256 cycle (_q8). Everything the host reads often is at the front of em_probe; emulab/probe/core.py
 * mirrors these structures, so change both and EM_ABI. */
#ifndef EMULAB_PROBE_H
#define EMULAB_PROBE_H
#include "memsim.h"

enum { EM_ABI = 6, EM_SLOTS = 192, EM_REGISTERS = 32 };

/* Why the engine was stopped. */
enum {
    EM_RUNNING = 0,   /* the engine stopped by itself: sleep instruction, fault */
    EM_DEADLINE,      /* cycles_q8 reached deadline_q8 */
    EM_UNKNOWN_BLOCK, /* the block at stop_address is not in the table: describe it, run again */
    EM_EDGE,          /* the block at stop_address is marked */
    EM_REQUEST,       /* the host asked (em_probe.request) */
    EM_UNMASKED,      /* an interrupt is pending and the block before may have unmasked it */
    EM_EXCEPTION,     /* the engine raised exception `exception` */
    EM_GUARDED,       /* instruction `exception` of the block at stop_address would access guarded_address: not allowed */
};

/* Flags of a block. */
enum {
    EM_BLOCK_EDGE = 1,     /* stop before it runs */
    EM_BLOCK_UNMASKS = 2,  /* may change interrupt masks */
    EM_BLOCK_SLEEPS = 4,   /* ends in WFI/WFE */
    EM_BLOCK_STORES = 8,   /* stores other than relative to the stack pointer */
};

/* One step of a block's address program: slots 0..31 are the registers at block entry, further ones are computed. */
typedef struct em_op {
    uint8_t op, a, b, to;
    int32_t immediate;
} em_op;
enum { EM_CONST, EM_ADD, EM_SUB, EM_MUL, EM_AND, EM_OR, EM_XOR, EM_BIC, EM_SHL, EM_SHR, EM_SAR, EM_UDIV,
       EM_SDIV, EM_UMULH, EM_SMULH, EM_SHLI, EM_SHRI, EM_SARI, EM_SEXT8, EM_SEXT16, EM_LOAD8, EM_LOAD16, EM_LOAD32, EM_LOADS8,
       EM_LOADS16 };

/* One data access of a block: address is slot + offset. */
typedef struct em_access {
    uint8_t slot, instruction, size, write;
    int32_t offset;
} em_access;

/* One division of a block: slots of dividend and divisor. */
typedef struct em_divide {
    uint8_t dividend, divisor, instruction, is_signed;
} em_divide;

/* What a division takes more than a block's static price has for it, in 1/256 cycle. Bits are the significant ones of the
 * magnitude: emulab.timing.base.Divider. */
typedef struct em_divider {
    uint32_t zero_q8;      /* an operand is 0 */
    uint32_t smaller_q8;   /* the dividend has fewer bits than the divisor */
    uint32_t base_q8;      /* else, and a cycle for each `bits` that the dividend has more */
    uint32_t bits;
    uint32_t unknown_q8;   /* the operands could not be followed */
} em_divider;

typedef struct em_block_spec {
    uint32_t address, size, instructions, cycles_q8, taken_q8, entry_q8, branch_kind, branch_address, flags;
    uint32_t behind;     /* requests the fetch unit is behind, 0 to 2, for the block that is fallen into after this one */
    uint32_t late_q8[2]; /* what this one costs more when fallen into with the fetch unit 1 or 2 behind */
    uint32_t unresolved; /* data accesses whose address the program cannot give */
    uint32_t operations, accesses, prefixes, divides;
} em_block_spec;

typedef struct em_region_count {
    uint64_t reads, writes, bytes_read, bytes_written;
} em_region_count;

typedef struct em_probe {
    uint64_t cycles_q8, deadline_q8, block_start_q8;
    uint64_t instructions, stall_q8, unresolved, entered;
    uint32_t reason, stop_address, stop_size, exception;
    uint32_t request;         /* set by the host: 1 stop before the next block, 2 before the one after it */
    uint32_t interrupt;       /* set by the host: 1 an interrupt is pending but masked, 2 and was just looked at */
    uint32_t pass_edge;       /* set by the host: the marked block at stop_address was seen, run it */
    uint32_t blocks;          /* how many the table holds */
    uint32_t current;         /* index of the block last entered, UINT32_MAX for none */
    uint32_t regions;
    uint32_t has_console_store;
    uint32_t guarded_address;
    uint64_t *count, *taken, *stalls_q8, *branches_q8; /* per block; the last: what branches and divisions add */
    em_region_count *region;                           /* per region */
    const uint32_t *registers; /* guest registers r0.. in the engine's own state; NULL: use read_register */
    uint32_t (*read_register)(void *engine, uint32_t index);
    void (*stop)(void *engine);
    void *engine;
    em_memsim *memory;
} em_probe;

uint32_t em_abi(void);
em_probe *em_probe_new(void);
void em_probe_free(em_probe *);
/* plain != 0, before the first block: every block and access goes the general way. Results are the same; tests compare. */
void em_probe_plain(em_probe *, int plain);
/* Declares that [base, base+size) is counted as region `counter`; host is its content (NULL: device or unknown).
 * base and size are multiples of 4096. */
int em_probe_add_region(em_probe *, uint32_t base, uint32_t size, const void *host, uint32_t counter, uint32_t device);
/* Adds a block (address, size must be new); returns its index or -1 without memory. */
int em_probe_add_block(em_probe *, const em_block_spec *, const em_op *, const em_access *, const uint32_t *prefix_q8,
                       const em_divide *);
/* Addresses that must not be accessed: reads (1), writes (2) or both. n == 0: all may. A block that would is not run. */
typedef struct em_guard {
    uint32_t start, last, access;
} em_guard;
void em_probe_guard(em_probe *, const em_guard *, uint32_t n);
/* How long divisions take; without it, those of em_block_spec cost nothing. */
void em_probe_divider(em_probe *, const em_divider *);
void em_probe_mark(em_probe *, uint32_t index, uint32_t flags_set, uint32_t flags_clear);
/* A block is about to run. Returns 0, or the reason why the engine was told to stop before it. */
uint32_t em_probe_enter(em_probe *, uint32_t address, uint32_t size);
/* One data access the engine saw itself (for engines that have no registers at block entry). */
void em_probe_access(em_probe *, uint32_t pc, uint32_t address, uint32_t size, int write);
/* Exact time, in 1/256 cycle, of a device access within the running block. */
uint64_t em_probe_time(em_probe *, uint32_t address, int write);
/* Number, from 1, of the instruction within its block that makes the device access last timed (0: unknown). */
uint32_t em_probe_pc(const em_probe *);
/* Block `whole`, counted last, was left within: count it as block `head`, which is its first part. (An engine that runs a
 * device access on its own leaves the block there, or a window ends there.) Stalls stay where they were charged. */
void em_probe_split(em_probe *, uint32_t whole, uint32_t head);
/* Control did not flow from the last block to the next one (exception entry, reset): cost in 1/256 cycle. */
void em_probe_break(em_probe *, uint32_t cost_q8);
/* Adds n executions of what happened between two copies of the block counts: a polling loop that is skipped. */
void em_probe_repeat(em_probe *, const uint64_t *count_before, const uint64_t *taken_before, const uint64_t *stalls_before,
                     uint64_t times);
#endif
