#!/usr/bin/env python3
"""Runs a static program for Linux on x86-64 on Bochs' processor, which has AVX-512: run.py PROGRAM [ARGUMENT...]

Only what a single thread needs that computes and prints: the program must be at a fixed address, it sees no files, and of
the system calls there are the few below.
"""

import ctypes
import mmap
import os
import struct
import sys

import bochscpu
import bochscpu.cpu
import bochscpu.memory

MEMORY = 128 << 20
HEAP = 32 << 20
PAGE = 4096
LARGE_PAGE = 2 << 20
# Below the program: page tables, and the code that a system call jumps to.
PML4, PDPT, DIRECTORY, KERNEL = 0x1000, 0x2000, 0x3000, 0x8000

ENOSYS, ENOMEM, ENOENT, EAGAIN = 38, 12, 2, 11
PHDR, PHENT, PHNUM, PAGESZ, ENTRY, RANDOM = 3, 4, 5, 6, 9, 25
PT_LOAD = 1
CR0, CR4, EFER, XCR0 = 0x80050033, 0x50620, 0xD01, 0xE7


class Memory:
    """The machine's memory, at the same addresses for the program and for the processor."""

    def __init__(self):
        self.bytes = mmap.mmap(-1, MEMORY)
        self.host = ctypes.addressof(ctypes.c_char.from_buffer(self.bytes))
        self.write(PML4, struct.pack("<Q", PDPT | 7))
        self.write(PDPT, struct.pack("<Q", DIRECTORY | 7))
        for i in range(MEMORY // LARGE_PAGE):
            self.write(DIRECTORY + 8 * i, struct.pack("<Q", i * LARGE_PAGE | 0x87))
        # wbinvd, which the hook below takes for a system call; jmp rcx
        self.write(KERNEL, bytes([0x0F, 0x09, 0xFF, 0xE1]))

    def read(self, at, length):
        return self.bytes[at : at + length]

    def write(self, at, data):
        self.bytes[at : at + len(data)] = data

    def insert_page(self, at):
        page = at & -PAGE
        assert page < MEMORY, f"no memory at {at:#x}"
        bochscpu.memory.page_insert(page, self.host + page)


class Program:
    """The program in memory, and its stack: arguments, no environment, and what the C library asks of the kernel."""

    def __init__(self, memory, arguments):
        self.memory = memory
        self.load(open(arguments[0], "rb").read())
        self.break_start = self.break_now = -(-self.end // PAGE) * PAGE
        self.map_top = MEMORY - (16 << 20)
        self.stack = MEMORY - PAGE
        self.put_arguments(arguments)

    def load(self, elf):
        kind, = struct.unpack_from("<H", elf, 16)
        assert elf[:5] == b"\x7fELF\x02" and kind == 2, "this is no static program at a fixed address"
        self.entry, headers = struct.unpack_from("<QQ", elf, 24)
        size, count = struct.unpack_from("<HH", elf, 54)
        self.end = 0
        for i in range(count):
            kind, _, offset, address, _, in_file, in_memory, _ = struct.unpack_from("<IIQQQQQQ", elf, headers + i * size)
            if kind == PT_LOAD:
                self.memory.write(address, elf[offset : offset + in_file])
                self.end = max(self.end, address + in_memory)
                if offset <= headers < offset + in_file:
                    headers_at = address + headers - offset
        self.auxiliary = {PHDR: headers_at, PHENT: size, PHNUM: count, PAGESZ: PAGE, ENTRY: self.entry}

    def push(self, data):
        self.stack -= len(data)
        self.memory.write(self.stack, data)
        return self.stack

    def put_arguments(self, arguments):
        texts = [self.push(text.encode() + b"\0") for text in arguments]
        self.auxiliary[RANDOM] = self.push(bytes(16))
        auxiliary = [word for pair in self.auxiliary.items() for word in pair]
        words = [len(texts), *texts, 0, 0, *auxiliary, 0, 0]
        self.stack = (self.stack - 8 * len(words)) & -16
        self.memory.write(self.stack, struct.pack(f"<{len(words)}Q", *words))


class Kernel:
    """The system calls."""

    def __init__(self, memory, program, session):
        self.memory, self.program, self.session = memory, program, session
        self.exit_code = None
        nothing = lambda *_: 0
        self.calls = {
            1: self.write,
            9: self.map,
            12: self.set_break,
            25: lambda *_: -ENOMEM,  # mremap: the C library copies then
            56: lambda *_: -EAGAIN,  # clone
            60: self.exit,
            158: self.set_thread_pointer,
            204: self.processors,
            231: self.exit,
            318: self.random,
        }
        # poll, mprotect, munmap, signals, robust lists, limits: nothing to do.
        self.calls |= dict.fromkeys((7, 10, 11, 13, 14, 131, 218, 273, 302), nothing)

    def call(self):
        cpu = self.session.cpu
        arguments = (cpu.rdi, cpu.rsi, cpu.rdx, cpu.r10, cpu.r8, cpu.r9)
        result = self.calls.get(cpu.rax, lambda *_: -ENOSYS)(*arguments)
        if self.exit_code is None:
            cpu.rax = result % (1 << 64)

    def write(self, file, at, length, *_):
        return os.write(file, self.memory.read(at, length))

    def map(self, _, length, *rest):
        top = (self.program.map_top - length) & -PAGE
        if top < self.program.break_start + HEAP:
            return -ENOMEM
        self.program.map_top = top
        return top

    def set_break(self, at, *_):
        if self.program.break_start <= at < self.program.break_start + HEAP:
            self.program.break_now = at
        return self.program.break_now

    def set_thread_pointer(self, _, at, *rest):
        segment = self.session.cpu.fs
        segment.base = at
        self.session.cpu.fs = segment
        return 0

    def processors(self, _, length, at, *rest):
        self.memory.write(at, (1).to_bytes(8, "little"))
        return 8

    def random(self, at, length, *_):
        self.memory.write(at, bytes(length))
        return length

    def exit(self, code, *_):
        self.exit_code = code & 0xFF
        self.session.stop()

    def exception(self, _, __, vector, error):
        cpu = self.session.cpu
        print(f"exception {vector}, error {error:#x}, at {cpu.rip:#x}, address {cpu.cr2:#x}", file=sys.stderr)
        self.exit(125)


def segment(selector, attributes):
    made = bochscpu.Segment()
    made.base, made.limit, made.selector, made.attr, made.present = 0, 0xFFFFFFFF, selector, attributes, True
    return made


def start_state(program):
    """In 64-bit mode with AVX-512 switched on. The processor's kernel mode is enough."""
    state = bochscpu.State()
    state.cr0, state.cr3, state.cr4, state.efer, state.xcr0 = CR0, PML4, CR4, EFER, XCR0
    state.mxcsr, state.mxcsr_mask, state.fpcw, state.fptw = 0x1F80, 0xFFFF, 0x37F, 0xFFFF
    state.star, state.lstar, state.sfmask = 8 << 32 | 8 << 48, KERNEL, 0
    state.cs = segment(8, 0xA09B)
    for name in ("ds", "es", "ss", "fs", "gs"):
        setattr(state, name, segment(16, 0xC093))
    state.rip, state.rsp, state.rflags = program.entry, program.stack, 2
    return state


def main(arguments):
    memory = Memory()
    program = Program(memory, arguments)
    session = bochscpu.Session()
    session.missing_page_handler = memory.insert_page
    session.cpu.state = start_state(program)
    kernel = Kernel(memory, program, session)
    hook = bochscpu.Hook()
    hook.cache_cntrl = lambda *_: kernel.call()
    hook.exception = kernel.exception
    session.run([hook])
    # Without the interpreter's own end, which would free memory that the processor holds.
    os._exit(125 if kernel.exit_code is None else kernel.exit_code)


main(sys.argv[1:])
