import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Executor, SandboxImage } from '../../src/sandbox/index.ts';
import { runOn, taskOf, textOf } from '../sandbox/conformance.ts';
import { nativeSubject } from './support.ts';

interface Ending {
  readonly code: string;
  readonly stdout?: string;
  /** Of `outputs/x`. */
  readonly file?: string;
  readonly exitCode?: number;
}

/** What plain `python3 main.py` does on its way out, each of which the launcher's shorter way out must not skip. */
const endings: Record<string, Ending> = {
  'nothing to do': { code: 'print(1)', stdout: '1\n' },
  'a line without its end': { code: 'print(1, end="")', stdout: '1' },
  'a file that nobody closed': { code: 'f = open("outputs/x", "w")\nf.write("kept")', file: 'kept' },
  'an object in a cycle': {
    code: 'class A:\n  def __del__(self): print("gone")\na = A()\na.me = a\ndel a',
    stdout: 'gone\n',
  },
  'an object with __del__': {
    code: 'class A:\n  def __del__(self): print("gone")\na = A()',
    stdout: 'gone\n',
  },
  'an object that no collector sees': {
    code: 'class A:\n  __slots__ = ()\n  def __del__(self): print("gone")\na = A()',
    stdout: 'gone\n',
  },
  'a generator in its try': {
    code: 'def f():\n  try:\n    yield 1\n  finally:\n    print("closed")\ng = f()\nnext(g)',
    stdout: 'closed\n',
  },
  'an exit handler': { code: 'import atexit\natexit.register(print, "bye")', stdout: 'bye\n' },
  'a finalizer by weakref': {
    code: 'import weakref\nclass A: pass\na = A()\nweakref.finalize(a, print, "final")',
    stdout: 'final\n',
  },
  'a thread that still works': {
    code: 'import threading, time\ndef f():\n  time.sleep(.05)\n  print("worked")\nthreading.Thread(target=f).start()',
    stdout: 'worked\n',
  },
  'what C holds back': {
    code: 'import ctypes\nctypes.CDLL(None).printf(b"from C")',
    stdout: 'from C',
  },
  'what a replaced stdout holds back': {
    code: 'import io, sys\nsys.stdout.write("held")\nsys.stdout = io.StringIO()',
    stdout: 'held',
  },
  'a stdout that was closed': { code: 'import sys\nprint(1)\nsys.stdout.close()', stdout: '1\n' },
  'no stdout at all': { code: 'import sys\nprint(1)\nsys.stdout = sys.__stdout__ = None', stdout: '1\n' },
  'a child of its own': {
    code: 'import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint("child" if pid == 0 else "parent")',
    stdout: 'child\nparent\n',
  },
  'a way out by its own code': { code: 'import sys\nprint(1)\nsys.exit(3)', stdout: '1\n', exitCode: 3 },
  'very many objects': { code: 'a = [[] for i in range(20000)]\nprint(len(a))', stdout: '20000\n' },
};

const test = suite('native: how a Python task ends');

test('everything that the interpreter does at its end is done', async () => {
  const { executor, image: ref } = await nativeSubject();
  try {
    const image = await executor.ensureImage(ref, {});
    for (const [name, ending] of Object.entries(endings)) await check(executor, image, name, ending);
  } finally {
    await executor.stop();
  }
});

async function check(executor: Executor, image: SandboxImage, name: string, ending: Ending): Promise<void> {
  const { code, stdout = '', file, exitCode = 0 } = ending;
  const result = await runOn(executor, image, taskOf(code));
  assert.is(textOf(result.stdout), stdout, name);
  assert.is(textOf(result.stderr), '', name);
  assert.is(result.exitCode, exitCode, name);
  const written = result.outputs[0];
  assert.is(written && textOf(written.bytes), file, name);
}

test.run();
