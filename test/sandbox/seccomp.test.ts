import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compileSeccomp, encodeSeccomp, type Instruction } from '../../src/sandbox/seccomp/bpf.ts';
import { seccompProfile } from '../../src/sandbox/seccomp/docker.ts';
import { policy } from '../../src/sandbox/seccomp/policy.ts';
import { type SeccompArch, syscalls } from '../../src/sandbox/seccomp/syscalls.ts';

const test = suite('sandbox: seccomp');

const ALLOW = 0x7fff0000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;
const KILL = 0x80000000;
const AUDIT = { x64: 0xc000003e, arm64: 0xc00000b7 };
/** The kernel's own limit (BPF_MAXINSNS). */
const MAX_INSTRUCTIONS = 4096;

interface Call {
  readonly arch?: number;
  readonly number: number;
  readonly args?: readonly bigint[];
}

/** What the kernel would answer: linux/filter.h as the manual tells it, over `struct seccomp_data`. */
function evaluate(program: readonly Instruction[], { arch = AUDIT.x64, number, args = [] }: Call): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number, 0);
  data.writeUInt32LE(arch, 4);
  for (const [index, value] of args.entries())
    data.writeBigUInt64LE(BigInt.asUintN(64, value), 16 + 8 * index);
  let accumulator = 0;
  for (let at = 0; ; at++) {
    const { code, jumpTrue, jumpFalse, k } = program[at] as Instruction;
    const jumpIf = (taken: boolean) => {
      at += taken ? jumpTrue : jumpFalse;
    };
    switch (code) {
      case 0x20:
        accumulator = data.readUInt32LE(k);
        break;
      case 0x06:
        return k;
      case 0x15:
        jumpIf(accumulator === k);
        break;
      case 0x25:
        jumpIf(accumulator > k);
        break;
      case 0x35:
        jumpIf(accumulator >= k);
        break;
      case 0x45:
        jumpIf((accumulator & k) !== 0);
        break;
      default:
        throw new Error(`no such instruction: ${code}`);
    }
  }
}

const numberOf = (name: string, arch: SeccompArch = 'x64') => syscalls.get(name)?.[arch] as number;

for (const arch of ['x64', 'arm64'] as const) {
  const program = compileSeccomp(arch);
  const on = (number: number, ...args: bigint[]) => evaluate(program, { arch: AUDIT[arch], number, args });

  test(`${arch}: every number is answered as the policy says`, () => {
    const allowed = new Set(policy.allowed.map(name => numberOf(name, arch)));
    const special = new Set(
      [...policy.conditions.map(({ name }) => name), ...policy.missing].map(name => numberOf(name, arch)),
    );
    for (let number = 0; number < 1024; number++)
      if (!special.has(number)) assert.is(on(number), allowed.has(number) ? ALLOW : EPERM, `${number}`);
    assert.is(on(numberOf('clone3', arch)), ENOSYS);
  });

  test(`${arch}: arguments are looked at`, () => {
    const socket = (family: bigint) => on(numberOf('socket', arch), family, 1n, 0n);
    for (const family of [1n, 2n, 10n, 16n]) assert.is(socket(family), ALLOW);
    for (const family of [0n, 3n, 17n, 38n, 40n, (1n << 32n) | 2n]) assert.is(socket(family), EPERM);
    const clone = (flags: bigint) => on(numberOf('clone', arch), flags);
    assert.is(clone(0x01200011n), ALLOW);
    for (let bit = 0n; bit < 32n; bit++) {
      const namespace = (0x7e020000n >> bit) & 1n;
      assert.is(clone(1n << bit), namespace ? EPERM : ALLOW, `bit ${bit}`);
    }
    const limits = (pid: bigint) => on(numberOf('prlimit64', arch), pid, 7n);
    assert.equal([limits(0n), limits(1n), limits(-1n)], [ALLOW, EPERM, EPERM]);
    const persona = (value: bigint) => on(numberOf('personality', arch), value);
    assert.equal([persona(0n), persona(0xffffffffn), persona(0x0400000n)], [ALLOW, ALLOW, EPERM]);
  });

  test(`${arch}: calls of another machine end the task`, () => {
    const other = AUDIT[arch === 'x64' ? 'arm64' : 'x64'];
    assert.is(evaluate(program, { arch: other, number: numberOf('read', arch) }), KILL);
    assert.is(evaluate(program, { arch: 0x40000003, number: 3 }), KILL);
  });

  test(`${arch}: the kernel takes a program of this size`, () => {
    assert.ok(program.length <= MAX_INSTRUCTIONS);
    const bytes = encodeSeccomp(program);
    assert.is(bytes.length, 8 * program.length);
    assert.is(bytes.readUInt16LE(0), 0x20);
    for (const { jumpTrue, jumpFalse } of program) assert.ok(jumpTrue < 256 && jumpFalse < 256);
  });
}

test('calls of x32 are refused', () => {
  const program = compileSeccomp('x64');
  for (const number of [0x40000000, 0x40000000 + numberOf('read'), 0xffffffff])
    assert.is(evaluate(program, { number }), EPERM);
});

test('no dangerous call is allowed, by name', () => {
  const dangerous =
    'mount umount2 move_mount open_tree fsopen pivot_root chroot unshare setns ptrace process_vm_readv process_vm_writev ' +
    'io_uring_setup bpf perf_event_open userfaultfd add_key request_key keyctl init_module finit_module kexec_load reboot ' +
    'swapon syslog settimeofday clock_settime iopl ioperm open_by_handle_at mknod mknodat shmget msgget semget mq_open ' +
    'sethostname mbind move_pages pidfd_getfd kcmp memfd_secret quotactl fanotify_init';
  const known = new Set([...policy.allowed, ...policy.conditions.map(({ name }) => name)]);
  assert.equal(
    dangerous.split(' ').filter(name => known.has(name)),
    [],
  );
});

test("Docker's profile says the same", () => {
  const { defaultAction, syscalls: rules } = JSON.parse(seccompProfile);
  assert.is(defaultAction, 'SCMP_ACT_ERRNO');
  const named = (name: string) => rules.filter(({ names }: { names: string[] }) => names.includes(name));
  assert.equal(named('mount'), []);
  assert.is(named('read').length, 1);
  assert.equal(
    named('prlimit64').map(({ args }: { args: unknown }) => args),
    [[{ index: 0, value: 0, op: 'SCMP_CMP_EQ' }]],
  );
  assert.is(named('socket').length, 4);
});

test.run();
