"""Commands that emulab adds to Renode's Monitor, in the Python 2 that Renode runs, without its standard library.

Renode's own ``pause`` locks up when a hook pauses at the same moment (each waits for the other's lock), ``start`` comes
back before the machine runs, and what goes through a socket terminal reaches the UART when the host's scheduler lets it.
So the console is read and written where the machine stands still, and only hooks pause. A Monitor command that names
an object first lists its members, 0.5 s for a CPU: hence what a session sets is set here, in one command.

- ``emulab_attach "UART" MIPS "NAME=PATTERN ..."``: set time and opcode counters; keep what the UART sends; pause at the
  end of every line. Answers ``no opcode counts: WHY`` where Renode cannot count.
- ``emulab_easydma``: the UART is a Nordic UARTE. Renode's model of it ends reception when a buffer is full, and knows no
  shortcut to the next one: bytes then come one by one, each a byte's time after the one before was taken.
- ``emulab_mark "HEX"``: pause after a store to that address.
- ``emulab_hook "HEX ..."``, ``emulab_unhook "HEX"``: pause, or no longer, where the core reaches that address.
- ``emulab_put "HEX"``: bytes into the UART's receiver.
- ``emulab_run LIMIT_MS``: run until something pauses, at most so long; then as ``emulab_state``.
- ``emulab_state``: ``@ RUNS PC INSTRUCTIONS ELAPSED_NS MARKS COUNTERS HEX``: whether it runs, virtual time, addresses
  of ``emulab_mark`` stored to since, opcode counters, what the UART sent since.

Renode sleeps 0.1 s after it has started the machine, so it is started in a thread of its own; and a pause asked for
before it says that it runs would be lost, so hooks wait for that.
"""

from __future__ import annotations

SCRIPT = """
from System import DateTime, Func, Int64, UInt32, UInt64
from System.Collections import Queue
from System.Threading import Thread, ThreadStart
from Antmicro.Renode.Core import EmulationManager
from Antmicro.Renode.Peripherals.Bus import Access, SysbusAccessWidth
from Antmicro.Renode.Time import TimeInterval
from Antmicro.Renode.UserInterface import MonitorTimeExtensions

emulab_parts = {}

def emulab_emulation():
    return EmulationManager.Instance.CurrentEmulation

def emulab_pause():
    while emulab_parts['starting'] and not emulab_emulation().IsStarted:
        Thread.Sleep(1)
    emulab_parts['starting'] = False
    emulab_parts['machine'].PauseAndRequestEmulationPause(True)

def mc_emulab_attach(uart_name, mips, patterns):
    machine, emulation = self.Machine, emulab_emulation()
    uart, cpu, said = machine[str(uart_name)], machine['sysbus.cpu'], Queue.Synchronized(Queue())
    cpu.PerformanceInMips = UInt32(int(mips))
    MonitorTimeExtensions.SetGlobalAdvanceImmediately(emulation, True)
    MonitorTimeExtensions.SetGlobalQuantum(emulation, TimeInterval.FromMilliseconds(UInt64(1)))
    counters = []
    try:
        cpu.EnableOpcodesCounting = True
        for name, pattern in [given.split('=') for given in str(patterns).split()]:
            cpu.InstallOpcodeCounterPattern(name, pattern)
            counters.append(name)
    except Exception as error:
        counters = []
        print('no opcode counts: ' + str(error).replace(chr(10), ' '))
    def seen(byte):
        said.Enqueue(byte)
        if byte == 10:
            emulab_pause()
    emulab_parts['uart'], emulab_parts['cpu'], emulab_parts['machine'] = uart, cpu, machine
    emulab_parts['said'], emulab_parts['counters'] = said, counters
    emulab_parts['marks'] = Queue.Synchronized(Queue())
    emulab_parts['waiting'], emulab_parts['feeding'] = Queue.Synchronized(Queue()), False
    emulab_parts['runs'] = False # a pause nobody was told of is not passed over
    emulab_parts['starting'] = False
    emulab_parts['easydma'] = None
    uart.CharReceived += seen
    if hasattr(uart, 'BufferStateChanged'):
        uart.BufferStateChanged += emulab_feed # what its receiver had no room for

def mc_emulab_mark(text):
    machine, marks, marked = emulab_parts['machine'], emulab_parts['marks'], int(str(text), 16)
    def stored(cpu, address, width, value):
        marks.Enqueue(marked)
        emulab_pause()
    widths = SysbusAccessWidth.Byte | SysbusAccessWidth.Word | SysbusAccessWidth.DoubleWord
    machine.SystemBus.AddWatchpointHook(UInt64(marked), widths, Access.Write, stored)

def emulab_reached(cpu, address):
    emulab_pause()

def mc_emulab_hook(texts):
    for text in str(texts).split():
        emulab_parts['cpu'].AddHook(UInt64(int(text, 16)), emulab_reached)

def mc_emulab_unhook(text):
    emulab_parts['cpu'].RemoveHooksAt(UInt64(int(str(text), 16)))

def emulab_feed(*unused):
    uart, waiting = emulab_parts['uart'], emulab_parts['waiting']
    while waiting.Count and not emulab_parts['feeding'] and not emulab_full(uart):
        emulab_parts['feeding'] = True # a byte changes the state that this listens to
        uart.WriteChar(waiting.Dequeue())
        emulab_parts['feeding'] = False

def emulab_full(uart):
    if emulab_parts['easydma'] is not None:
        return emulab_easydma_full(uart)
    return hasattr(uart, 'BufferState') and str(uart.BufferState) == 'Full'

def emulab_easydma_full(uart):
    if uart.ReadDoubleWord(0x110): # ENDRX
        return True
    amount = uart.ReadDoubleWord(0x53C)
    if amount and amount == uart.ReadDoubleWord(0x538):
        if not emulab_parts['easydma'] & 0x20: # SHORTS.ENDRX_STARTRX
            return True
        uart.WriteDoubleWord(0x000, 1) # STARTRX
    return False

def mc_emulab_easydma():
    machine, uart = emulab_parts['machine'], emulab_parts['uart']
    emulab_parts['easydma'] = 0
    def written(value, offset):
        if offset == 0x200: # SHORTS
            emulab_parts['easydma'] = int(value)
        elif offset in (0x000, 0x110) and emulab_parts['waiting'].Count: # STARTRX, ENDRX
            byte_us = 10000000 // (uart.BaudRate or 115200) # its table lacks the rates of newer data sheets
            machine.ScheduleAction(TimeInterval.FromMicroseconds(UInt64(byte_us)), emulab_feed)
        return value
    machine.SystemBus.SetHookBeforePeripheralWrite[UInt32](uart, Func[UInt32, Int64, UInt32](written))

def mc_emulab_put(text):
    for at in range(0, len(text), 2):
        emulab_parts['waiting'].Enqueue(int(text[at:at + 2], 16))
    emulab_feed()

def mc_emulab_state():
    cpu, said = emulab_parts['cpu'], emulab_parts['said']
    runs = 1 if emulab_parts['starting'] or emulab_emulation().IsStarted else 0
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
    emulation = emulab_emulation()
    if not emulab_parts['runs']:
        emulab_parts['runs'] = emulab_parts['starting'] = True
        Thread(ThreadStart(emulation.StartAll)).Start()
    end = DateTime.UtcNow.AddMilliseconds(float(limit_ms))
    while DateTime.UtcNow < end:
        if emulation.IsStarted:
            emulab_parts['starting'] = False
        elif not emulab_parts['starting']:
            break
        Thread.Sleep(1)
    mc_emulab_state()
"""
