import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { doctor } from '../../src/cli/commands/doctor.ts';
import type { Weakening } from '../../src/sandbox/docker/boxes.ts';
import { type ProbeFinding, probeSandboxes } from '../../src/sandbox/index.ts';
import { all, asUser, dockerLauncher, host, network, noSeccomp } from '../attacks/sandbox/weakenings.ts';
import { recorded, runCli, withDir } from '../cli/support.ts';
import { dockerSubject, IMAGE, withDocker, withoutGvisor } from './support.ts';

const test = suite('docker: doctor');
const env = { ...(process.env.DOCKER_HOST ? { DOCKER_HOST: process.env.DOCKER_HOST } : {}) };

/** Each check of the sandbox itself. */
const CHECKS = 'sandbox network privileges files kernel memory processes cpu time output'.split(' ');

async function probed(runtime?: string, weaken?: Weakening): Promise<ProbeFinding[]> {
  let findings: ProbeFinding[] = [];
  await withDocker(
    async executor => {
      findings = await probeSandboxes(executor, await executor.ensureImage(IMAGE, {}));
    },
    { maxBoxes: 0, ...(runtime ? { runtime } : {}) },
    weaken ? { weaken } : {},
  );
  assert.equal(
    findings.map(({ check }) => check),
    CHECKS,
  );
  return findings;
}

const failing = (findings: readonly ProbeFinding[]) => findings.filter(({ ok }) => !ok);
const names = (findings: readonly ProbeFinding[]) => findings.map(({ check }) => check);

test('every probe passes, and says what it proved', async () => {
  const findings = await probed();
  assert.equal(failing(findings), []);
  for (const { detail } of findings.slice(1)) assert.match(detail, /inside|limit/);
});

const missing = await withoutGvisor();
const gvisor = missing ? test.skip : test;
gvisor(missing ?? 'the same in gVisor', async () => {
  assert.equal(failing(await probed('runsc')), []);
});

test('a network, no filter and no limits are found, and how to mend them', async () => {
  const findings = failing(
    await probed(
      undefined,
      all(
        network('host'),
        noSeccomp,
        host({ PidsLimit: 200, NanoCpus: 0, Memory: 2 ** 29, MemorySwap: 2 ** 29 }),
      ),
    ),
  );
  assert.equal(names(findings), ['network', 'kernel', 'memory', 'processes', 'cpu']);
  const details = findings.map(({ detail }) => detail);
  assert.match(details[0] ?? '', /this host.* got through.*Lend nothing until it holds/);
  assert.match(details[1] ?? '', /io_uring.* got through.*seccomp/);
  assert.match(details[2] ?? '', /cgroup_enable=memory/);
  assert.match(details[3] ?? '', /pids cgroup/);
  assert.match(details[4] ?? '', /CFS/);
});

test('an open launcher and a writable root are found', async () => {
  const open = dockerLauncher('libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)', '');
  const findings = failing(await probed(undefined, all(asUser(0), host({ ReadonlyRootfs: false }), open)));
  assert.equal(names(findings), ['privileges', 'files']);
  assert.match(findings[0]?.detail ?? '', /root, the launcher’s memory got through/);
  assert.match(findings[1]?.detail ?? '', /\(\/, \/etc got through\)/);
});

test('doctor tells of them, and of what is there', () =>
  withDir(async dir => {
    const { code, out } = await runCli(['doctor', '--data', dir, '--api-port', '0', '--json'], { env });
    assert.is(code, 0, out);
    const { ok, findings } = JSON.parse(out) as { ok: boolean; findings: ProbeFinding[] };
    assert.is(ok, true);
    for (const check of ['docker', 'gvisor', 'base image', ...CHECKS])
      assert.ok(findings.find(found => found.check === check)?.ok, check);
  }));

test('doctor fails where a probe does', () =>
  withDir(async dir => {
    const { executor, leavesNothing } = await dockerSubject({ maxBoxes: 0 }, { weaken: noSeccomp });
    const options = { data: dir, apiPort: '0' };
    const ran = await recorded(io => doctor(io, [], options, async () => executor), { env });
    assert.is(ran.code, 1);
    assert.match(ran.out, /^FAIL {2}kernel .*got through/m);
    assert.match(ran.out, /^ok {4}network .*refused inside/m);
    await leavesNothing();
  }));

test('without the base image doctor says how to get it', () =>
  withDir(async dir => {
    const none = { ...env, DUXNODE_SANDBOX_BASE_IMAGE: 'duxnode-test/none:1' };
    const { code, out } = await runCli(['doctor', '--data', dir, '--api-port', '0'], { env: none });
    assert.is(code, 0, out);
    assert.match(out, /^ok {4}sandbox +nothing was tried in a sandbox.*docker pull duxnode-test\/none:1/m);
    assert.not.match(out, /^ok {4}network/m);
  }));

test.run();
