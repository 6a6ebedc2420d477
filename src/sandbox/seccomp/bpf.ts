import { endianness } from 'node:os';
import { type Condition, ENOSYS, EPERM, policy } from './policy.ts';
import { type SeccompArch, syscalls } from './syscalls.ts';

/** One instruction of classic BPF: `struct sock_filter` of linux/filter.h. */
export interface Instruction {
  readonly code: number;
  readonly jumpTrue: number;
  readonly jumpFalse: number;
  readonly k: number;
}

/** Of linux/bpf_common.h: load a word of `struct seccomp_data`, return, and jumps on a comparison with k. */
const LOAD = 0x20;
const RETURN = 0x06;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER = 0x25;
const JUMP_GREATER_EQUAL = 0x35;
const JUMP_BITS = 0x45;

/** Of linux/seccomp.h. */
const KILL_PROCESS = 0x80000000;
const ERRNO = 0x00050000;
const ALLOW = 0x7fff0000;

/** AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 of linux/audit.h. */
const AUDIT: Readonly<Record<SeccompArch, number>> = { x64: 0xc000003e, arm64: 0xc00000b7 };
/** System calls from here up are x32's, numbered apart, on x86_64. */
const X32_FIRST = 0x40000000;
/** Places in `struct seccomp_data`; each argument is a low and, on the little-endian machines that we know, a high word. */
const NUMBER_AT = 0;
const ARCH_AT = 4;
const argumentAt = (index: number) => 16 + 8 * index;

const load = (k: number): Instruction => ({ code: LOAD, jumpTrue: 0, jumpFalse: 0, k });
const answer = (k: number): Instruction => ({ code: RETURN, jumpTrue: 0, jumpFalse: 0, k });
const jump = (code: number, k: number, jumpTrue: number, jumpFalse: number): Instruction => ({
  code,
  jumpTrue,
  jumpFalse,
  k,
});

export function isSeccompArch(arch: string): arch is SeccompArch {
  return arch in AUDIT && endianness() === 'LE';
}

/** The policy as a program for the kernel, whose number is loaded at first. Every call goes through it: cheap ones first. */
export function compileSeccomp(arch: SeccompArch): Instruction[] {
  const numbersOf = (names: readonly string[]) =>
    names.map(name => syscalls.get(name)?.[arch]).filter(number => number !== undefined);
  return [
    load(ARCH_AT),
    jump(JUMP_EQUAL, AUDIT[arch], 1, 0),
    answer(KILL_PROCESS),
    load(NUMBER_AT),
    jump(JUMP_GREATER_EQUAL, X32_FIRST, 0, 1),
    answer(ERRNO | EPERM),
    ...rangesOf(numbersOf(policy.allowed)).flatMap(allowRange),
    ...numbersOf(policy.missing).flatMap(number => [jump(JUMP_EQUAL, number, 0, 1), answer(ERRNO | ENOSYS)]),
    ...policy.conditions.flatMap(condition =>
      numbersOf([condition.name]).flatMap(number => allowIf(number, condition)),
    ),
    answer(ERRNO | EPERM),
  ];
}

/** `struct sock_filter[]` in memory, as bubblewrap's `--seccomp` reads it. */
export function encodeSeccomp(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(8 * program.length);
  for (const [at, { code, jumpTrue, jumpFalse, k }] of program.entries()) {
    bytes.writeUInt16LE(code, 8 * at);
    bytes.writeUInt8(jumpTrue, 8 * at + 2);
    bytes.writeUInt8(jumpFalse, 8 * at + 3);
    bytes.writeUInt32LE(k, 8 * at + 4);
  }
  return bytes;
}

type Range = readonly [first: number, last: number];

function rangesOf(numbers: readonly number[]): Range[] {
  const ranges: [number, number][] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges;
}

const allowRange = ([first, last]: Range): Instruction[] => [
  jump(JUMP_GREATER_EQUAL, first, 0, 2),
  jump(JUMP_GREATER, last, 1, 0),
  answer(ALLOW),
];

/** Passes over itself when it is another call, else ends: nothing after it may find the argument in place of the number. */
function allowIf(number: number, condition: Condition): Instruction[] {
  const at = argumentAt(condition.index);
  const body =
    'oneOf' in condition
      ? [
          load(at + 4),
          jump(JUMP_EQUAL, 0, 1, 0),
          answer(ERRNO | EPERM),
          load(at),
          ...condition.oneOf.flatMap(value => [jump(JUMP_EQUAL, value, 0, 1), answer(ALLOW)]),
          answer(ERRNO | EPERM),
        ]
      : [load(at), jump(JUMP_BITS, condition.withoutBits, 0, 1), answer(ERRNO | EPERM), answer(ALLOW)];
  return [jump(JUMP_EQUAL, number, 0, body.length), ...body];
}
