import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { choose, parseHierarchies } from '../../src/sandbox/hierarchies.ts';

const test = suite('native: hierarchies');

const V1 = `
25 20 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:5 - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/memory rw,nosuid shared:6 - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/pids rw,nosuid shared:7 - cgroup cgroup rw,pids
29 25 0:26 / /sys/fs/cgroup/systemd rw,nosuid shared:8 - cgroup cgroup rw,xattr,name=systemd
`;
const V1_SELF = `
5:pids:/user.slice
4:memory:/user.slice/a:b
3:cpu,cpuacct:/
1:name=systemd:/user.slice
0::/user.slice
`;
const V2 = '30 20 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate';
const V2_SELF = '0::/user.slice/user-1000.slice/user@1000.service/app.slice\n';

test('v1: each controller where it is mounted, one hierarchy for those mounted together', () => {
  const { used, missing } = choose(parseHierarchies(V1, V1_SELF));
  assert.equal(missing, []);
  assert.equal(used, [
    { version: 1, mount: '/sys/fs/cgroup/memory', own: '/user.slice/a:b', controllers: ['memory'] },
    { version: 1, mount: '/sys/fs/cgroup/pids', own: '/user.slice', controllers: ['pids'] },
    { version: 1, mount: '/sys/fs/cgroup/cpu,cpuacct', own: '/', controllers: ['cpu', 'cpuacct'] },
  ]);
});

test('v2: one for all', () => {
  const [found] = parseHierarchies(V2, V2_SELF);
  assert.is(found?.own, '/user.slice/user-1000.slice/user@1000.service/app.slice');
  assert.equal(
    choose([{ ...found, controllers: ['cpu', 'io', 'memory', 'pids'] } as NonNullable<typeof found>]),
    {
      used: [
        { version: 2, mount: '/sys/fs/cgroup', own: found?.own, controllers: ['memory', 'pids', 'cpu'] },
      ],
      missing: [],
    },
  );
});

test('hybrid: v2 for what v1 does not hold; what nobody holds is named', () => {
  const old = parseHierarchies(V1, V1_SELF).filter(({ controllers }) => !controllers.includes('pids'));
  const [unified] = parseHierarchies(V2.replace('/sys/fs/cgroup ', '/sys/fs/cgroup/unified '), V1_SELF);
  const both = [{ ...unified, controllers: ['pids', 'hugetlb'] } as NonNullable<typeof unified>, ...old];
  const { used, missing } = choose(both);
  assert.equal(missing, []);
  assert.equal(used.find(({ version }) => version === 2)?.controllers, ['pids']);
  assert.equal(choose(old).missing, ['pids']);
});

test('a mount that shows a part of a hierarchy alone is where this process is in that part', () => {
  const inside = V2.replace('0:27 / ', '0:27 /user.slice/user-1000.slice ');
  assert.is(parseHierarchies(inside, V2_SELF)[0]?.own, '/user@1000.service/app.slice');
});

test.run();
