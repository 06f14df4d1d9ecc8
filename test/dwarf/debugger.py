# Run inside gdb, attached to a process: prints for every thread its registers and the pcs of its frames.
# gdb's own frames are the expectation, so everything that makes gdb stop early is turned off.
import json

import gdb

gdb.execute("set pagination off")
gdb.execute("set backtrace past-main on")
gdb.execute("set backtrace past-entry on")

# Frames that gdb infers from debug information: they are not on the stack.
VIRTUAL = (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME)

NAMES = "rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip".split()

for thread in gdb.selected_inferior().threads():
    thread.switch()
    frame = gdb.newest_frame()
    registers = {name: "%x" % (int(frame.read_register(name)) & (2**64 - 1)) for name in NAMES}
    pcs = []
    while frame is not None and len(pcs) < 500:
        if frame.type() not in VIRTUAL:
            pcs.append("%x" % frame.pc())
        frame = frame.older()
    print("THREAD " + json.dumps({"tid": thread.ptid[1], "registers": registers, "pcs": pcs}))
