"""Commands that emulab adds to Renode's Monitor, in the Python 2 that Renode runs, without its standard library.

Renode's own ``pause`` locks up when a hook pauses at the same moment (each waits for the other's lock), ``start`` comes
back before the machine runs, and what goes through a socket terminal reaches the UART when the host's scheduler lets it.
So the console is read and written where the machine stands still, and only hooks pause:

- ``emulab_attach "UART" "COUNTERS"``: keep what the UART sends; pause at the end of every line.
- ``emulab_mark "HEX"``: pause after a store to that address.
- ``emulab_put "HEX"``: bytes into the UART's receiver.
- ``emulab_run LIMIT_MS``: run until something pauses, at most so long; then as ``emulab_state``.
- ``emulab_state``: ``@ RUNS PC INSTRUCTIONS ELAPSED_NS MARKS COUNTERS HEX``: whether it runs, virtual time, addresses
  of ``emulab_mark`` stored to since, opcode counters, what the UART sent since.
"""

from __future__ import annotations

SCRIPT = """
from System import DateTime, UInt64
from System.Collections import Queue
from System.Threading import Thread
from Antmicro.Renode.Core import EmulationManager
from Antmicro.Renode.Peripherals.Bus import Access, SysbusAccessWidth

emulab_parts = {}

def mc_emulab_attach(uart_name, counters):
    machine = self.Machine
    said = Queue.Synchronized(Queue())
    def seen(byte):
        said.Enqueue(byte)
        if byte == 10:
            machine.PauseAndRequestEmulationPause(True)
    uart = machine[str(uart_name)]
    uart.CharReceived += seen
    emulab_parts['uart'], emulab_parts['cpu'], emulab_parts['machine'] = uart, machine['sysbus.cpu'], machine
    emulab_parts['said'], emulab_parts['counters'] = said, str(counters).split()
    emulab_parts['marks'] = Queue.Synchronized(Queue())
    emulab_parts['waiting'], emulab_parts['feeding'] = Queue.Synchronized(Queue()), False
    if hasattr(uart, 'BufferStateChanged'):
        uart.BufferStateChanged += emulab_feed # what its receiver had no room for
    emulab_parts['runs'] = False # a pause nobody was told of is not passed over

def mc_emulab_mark(text):
    machine, marks, marked = emulab_parts['machine'], emulab_parts['marks'], int(str(text), 16)
    def stored(cpu, address, width, value):
        marks.Enqueue(marked)
        machine.PauseAndRequestEmulationPause(True)
    widths = SysbusAccessWidth.Byte | SysbusAccessWidth.Word | SysbusAccessWidth.DoubleWord
    machine.SystemBus.AddWatchpointHook(UInt64(marked), widths, Access.Write, stored)

def emulab_feed(*unused):
    uart, waiting = emulab_parts['uart'], emulab_parts['waiting']
    while waiting.Count and not emulab_parts['feeding'] and not emulab_full(uart):
        emulab_parts['feeding'] = True # a byte changes the state that this listens to
        uart.WriteChar(waiting.Dequeue())
        emulab_parts['feeding'] = False

def emulab_full(uart):
    return hasattr(uart, 'BufferState') and str(uart.BufferState) == 'Full'

def mc_emulab_put(text):
    for at in range(0, len(text), 2):
        emulab_parts['waiting'].Enqueue(int(text[at:at + 2], 16))
    emulab_feed()

def mc_emulab_state():
    cpu, said = emulab_parts['cpu'], emulab_parts['said']
    runs = 1 if EmulationManager.Instance.CurrentEmulation.IsStarted else 0
    if not runs:
        emulab_parts['runs'] = False
    text = ''.join(['%02x' % said.Dequeue() for _ in range(said.Count)])
    marks = emulab_parts['marks']
    marks = ','.join(['%x' % marks.Dequeue() for _ in range(marks.Count)])
    counters = ','.join([str(cpu.GetOpcodeCounter(name)) for name in emulab_parts['counters']])
    elapsed = emulab_parts['machine'].ElapsedVirtualTime.TimeElapsed
    counts = (runs, cpu.PC.RawValue, cpu.ExecutedInstructions, elapsed.TotalNanoseconds)
    print('@ %d %d %d %d' % counts + ' %s %s %s' % (marks or '-', counters or '-', text or '-'))

def mc_emulab_run(limit_ms):
    emulation = EmulationManager.Instance.CurrentEmulation
    if not emulab_parts['runs']:
        emulab_parts['runs'] = True
        emulation.StartAll()
    end = DateTime.UtcNow.AddMilliseconds(float(limit_ms))
    while emulation.IsStarted and DateTime.UtcNow < end:
        Thread.Sleep(1)
    mc_emulab_state()
"""
