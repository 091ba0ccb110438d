/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Pipes to the host and console input of the QEMU plugin; see qemu_link.h. */
#define _GNU_SOURCE
#include "qemu_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { POLLS = 16, PATIENCE_MS = 2000, SEND_AT = 32768, LOG_LIMIT = 1 << 20, WAKE_NS = 300000, REPEAT_NS = 10000000, TAKE_NS = 1000000000, CLOCK_MS = 5000 };

static int events_fd = -1, control_fd = -1, input_fd = -1, wake_fd = -1, log_fd = -1;
static off_t log_read;
static uint64_t stored;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *must(void *memory) {
    if (!memory) abort();
    return memory;
}

/* The host has gone: there is nobody to emulate for. */
static void gone(void) { _exit(0); }

/* ---- records out --------------------------------------------------------------------------------------------- */

static pthread_mutex_t sending = PTHREAD_MUTEX_INITIALIZER;
static uint8_t *out;
static size_t out_used, out_room, out_length_at;

static void flush(void) {
    for (size_t done = 0; done < out_used;) {
        ssize_t n = write(events_fd, out + done, out_used - done);
        if (n > 0) done += (size_t)n;
        else if (n < 0 && errno != EINTR) gone();
    }
    out_used = 0;
}

void link_bytes(const void *data, size_t size) {
    if (out_used + size > out_room) {
        out_room = (out_used + size) * 2 + 2 * SEND_AT;
        out = must(realloc(out, out_room));
    }
    memcpy(out + out_used, data, size);
    out_used += size;
}

void link_word(uint32_t value) { link_bytes(&value, sizeof value); }
void link_long(uint64_t value) { link_bytes(&value, sizeof value); }

void link_begin(uint32_t type) {
    pthread_mutex_lock(&sending);
    link_word(type);
    out_length_at = out_used;
    link_word(0);
}

void link_end(int now) {
    uint32_t length = (uint32_t)(out_used - out_length_at - sizeof length);
    memcpy(out + out_length_at, &length, sizeof length);
    if (now || out_used > SEND_AT) flush();
    pthread_mutex_unlock(&sending);
}

void link_signal(uint32_t type, uint32_t pc, uint32_t value) {
    link_begin(type), link_word(pc), link_word(value), link_end(1);
}

/* ---- console input; `input` guards all of it ----------------------------------------------------------------- */

static pthread_mutex_t input = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint8_t *queue; /* chunks, each after its 32-bit length */
static size_t queue_head, queue_tail, queue_room;
static uint32_t chunk_left;          /* bytes of the chunk that is being handed over */
static uint32_t delivered, consumed; /* bytes put on the line, bytes the firmware has read */
static uint32_t late_chunks, chunks_opened;
static int free_run, sleeping, polls;
static int own_sleep; /* the sleep under way is the firmware's own, not one until the host speaks */
static uint32_t price[PRICE_WORDS];
static int priced;

static uint32_t fifo = 1; /* bytes the UART's model takes at once */

void link_fifo(uint32_t bytes) { fifo = bytes ? bytes : 1; }

/* Put the next bytes on the line and wait until QEMU's main loop has taken it: it gives them to the UART before it lets
 * the vCPU touch a device again. A main loop that sleeps does not notice that the firmware has switched the receiver on; an
 * empty line for the monitor makes it look again, and one more where it looked too early. */
static void deliver(void) {
    size_t size = chunk_left < fifo ? chunk_left : fifo;
    const uint8_t *bytes = queue + queue_head;
    uint64_t start = now_ns(), wake_at = start + WAKE_NS;
    int left = 1;
    queue_head += size, chunk_left -= (uint32_t)size, delivered += (uint32_t)size, polls = 0;
    if (write(input_fd, bytes, size) != (ssize_t)size) return;
    while (!ioctl(input_fd, FIONREAD, &left) && left > 0) {
        uint64_t now = now_ns();
        if (now - start > TAKE_NS) return;
        if (now > wake_at) wake_at = write(wake_fd, "\n", 1) == 1 ? now + REPEAT_NS : now + WAKE_NS;
        nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
    }
}

/* Whether a byte can be put on the line: the one before has been read, and the host has written another. */
static int ready(void) {
    if (delivered != consumed) return 0;
    if (!chunk_left && queue_tail - queue_head >= sizeof chunk_left) {
        memcpy(&chunk_left, queue + queue_head, sizeof chunk_left);
        queue_head += sizeof chunk_left;
        chunks_opened++;
    }
    return chunk_left > 0;
}

int output_pending(void) {
    struct stat now;
    return fstat(log_fd, &now) == 0 && (uint64_t)now.st_size < stored;
}

int output_stored(int later) {
    uint8_t byte;
    pthread_mutex_lock(&input);
    polls = 0;
    pthread_mutex_unlock(&input);
    stored++;
    if (later || pread(log_fd, &byte, 1, log_read) != 1) return -1;
    if (++log_read == LOG_LIMIT && !ftruncate(log_fd, 0)) log_read = 0;
    return byte;
}

/* The firmware can go no further without a byte, or so it seems: wait for one, or for the host to let it run on. Called
 * with `input` held. */
static void wait_for_input(void (*counts)(void)) {
    int told = 0;
    while (!ready() && !free_run) {
        if (told) {
            pthread_cond_wait(&changed, &input);
            continue;
        }
        uint32_t opened = chunks_opened;
        pthread_mutex_unlock(&input);
        counts();
        link_signal(AWAIT, plugin_pc(), opened);
        pthread_mutex_lock(&input);
        told = 1;
    }
    polls = 0;
    if (ready()) deliver();
}

void input_polled(void (*counts)(void)) {
    pthread_mutex_lock(&input);
    if (delivered == consumed && ++polls >= POLLS) wait_for_input(counts);
    pthread_mutex_unlock(&input);
}

void input_sleeps(void (*counts)(void)) {
    pthread_mutex_lock(&input);
    if (delivered == consumed) wait_for_input(counts);
    sleeping = 1;
    own_sleep = delivered == consumed;
    pthread_mutex_unlock(&input);
}

int input_loaded(void) {
    pthread_mutex_lock(&input);
    int taken = consumed != delivered;
    if (taken) {
        consumed++, polls = 0;
        if (chunk_left && consumed == delivered) deliver();
    }
    pthread_mutex_unlock(&input);
    return taken;
}

int input_wakes(void) {
    pthread_mutex_lock(&input);
    int own = own_sleep;
    sleeping = 0;
    pthread_mutex_unlock(&input);
    return own;
}

uint32_t input_late(void) { return late_chunks; }

void link_price(uint32_t words[PRICE_WORDS]) {
    pthread_mutex_lock(&input);
    while (!priced) pthread_cond_wait(&changed, &input);
    memcpy(words, price, sizeof price);
    priced = 0;
    pthread_mutex_unlock(&input);
}

/* ---- time ---------------------------------------------------------------------------------------------------- */

enum { FRAME = 60, PCAP_HEAD = 24, PCAP_RECORD = 16 + 1, EPOCH_S = 1704067200 }; /* the dump keeps one byte of each packet */

static int clock_fd = -1, sink_fd = -1, dump_fd = -1;
static off_t dump_read = PCAP_HEAD;

void link_clock(int clock, int sink, const char *dump_path) {
    clock_fd = clock, sink_fd = sink;
    dump_fd = open(dump_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

/* A stream carries packets after their length; the dump is a pcap file, whose records begin with {seconds, microseconds}.
 * The machine starts at 2024-01-01 00:00 UTC (QemuProcess says so). */
uint64_t virtual_ns(void) {
    uint8_t frame[4 + FRAME] = {0, 0, 0, FRAME}, back[sizeof frame];
    uint32_t stamp[2];
    if (dump_fd < 0 || write(clock_fd, frame, sizeof frame) != sizeof frame) return 0;
    for (size_t done = 0; done < sizeof back;) { /* it came through: its record is written */
        struct pollfd p = {.fd = sink_fd, .events = POLLIN};
        ssize_t n = poll(&p, 1, CLOCK_MS) > 0 ? read(sink_fd, back + done, sizeof back - done) : 0;
        if (n <= 0) { /* a clock that does not answer is asked no more */
            close(dump_fd), dump_fd = -1;
            return 0;
        }
        done += (size_t)n;
    }
    if (pread(dump_fd, stamp, sizeof stamp, dump_read) != sizeof stamp) return 0;
    dump_read += PCAP_RECORD;
    return (((uint64_t)stamp[0] - EPOCH_S) * 1000000u + stamp[1]) * 1000u;
}

/* ---- commands in --------------------------------------------------------------------------------------------- */

static void read_whole(void *to, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t n = read(control_fd, (uint8_t *)to + done, size - done);
        if (n > 0) done += (size_t)n;
        else if (n == 0 || errno != EINTR) gone();
    }
}

static void enqueue(uint32_t size) {
    uint8_t *chunk = must(malloc(size ? size : 1));
    read_whole(chunk, size);
    pthread_mutex_lock(&input);
    if (queue_head == queue_tail) queue_head = queue_tail = 0;
    if (queue_tail + size + sizeof size > queue_room) {
        queue_room = (queue_tail + size + sizeof size) * 2;
        queue = must(realloc(queue, queue_room));
    }
    memcpy(queue + queue_tail, &size, sizeof size);
    memcpy(queue + queue_tail + sizeof size, chunk, size);
    queue_tail += size + sizeof size;
    if (sleeping && ready()) {
        own_sleep = 0;
        deliver();
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&input);
    free(chunk);
}

/* Firmware that neither polls nor sleeps while it waits for an interrupt gets its bytes all the same, if late. */
static void feed_busy_firmware(void) {
    pthread_mutex_lock(&input);
    if (ready()) late_chunks++, deliver();
    pthread_mutex_unlock(&input);
}

static void *listen_to_host(void *unused) {
    for (;;) {
        struct pollfd p = {.fd = control_fd, .events = POLLIN};
        int some = poll(&p, 1, PATIENCE_MS);
        uint32_t head[2], words[1 + PRICE_WORDS];
        if (some < 0 && errno == EINTR) continue;
        if (some == 0) {
            feed_busy_firmware();
            continue;
        }
        read_whole(head, sizeof head);
        switch (head[0]) {
        case DATA: enqueue(head[1]); break;
        case RUN:
        case HOLD:
            pthread_mutex_lock(&input);
            free_run = head[0] == RUN;
            pthread_cond_broadcast(&changed);
            pthread_mutex_unlock(&input);
            break;
        case QUERY: link_signal(STATE, plugin_pc(), (uint32_t)sleeping); break;
        case PRICE:
            read_whole(words, sizeof words);
            pthread_mutex_lock(&input);
            memcpy(price, words + 1, sizeof price);
            priced = 1;
            pthread_cond_broadcast(&changed);
            pthread_mutex_unlock(&input);
            break;
        default: gone();
        }
    }
    return unused;
}

int link_open(int events, int commands, const char *input_path, const char *wake_path, const char *log_path) {
    pthread_t thread;
    events_fd = events, control_fd = commands;
    input_fd = open(input_path, O_RDWR | O_CLOEXEC);
    log_fd = open(log_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    wake_fd = open(wake_path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (events_fd <= 2 || control_fd <= 2 || input_fd < 0 || wake_fd < 0 || log_fd < 0) {
        fprintf(stderr, "emulab probe: the pipes to the host are missing\n");
        return -1;
    }
    signal(SIGPIPE, SIG_IGN);
    return pthread_create(&thread, NULL, listen_to_host, NULL) ? -1 : 0;
}
