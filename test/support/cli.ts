import { PassThrough } from 'node:stream';
import type { CliIo } from '../../src/cli/io.ts';
import { runCommand } from '../../src/cli/run.ts';
import { EngineError } from '../../src/core/errors.ts';
import type { MetalEngine } from '../../src/engine/engine.ts';

export interface CliResult {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** An engine that must not be called: a boot takes minutes and is tested end to end. */
export const noEngine: MetalEngine = {
  name: 'qemu',
  regenerate: () => Promise.reject(new EngineError('no boot was expected', { code: 'VM_EXITED' })),
};

/** Runs a command line in this process. */
export async function cli(
  argv: readonly string[],
  more: Partial<
    Pick<CliIo, 'env' | 'signal' | 'isTerminal' | 'createEngine' | 'hostArch' | 'stdoutIs'>
  > & {
    /** Called with output for stdout as it is written. */
    readonly onStdout?: (text: string) => void;
  } = {},
): Promise<CliResult> {
  const { onStdout, ...own } = more;
  const stdout = collect(onStdout);
  const stderr = collect();
  const code = await runCommand(argv, {
    stdout: stdout.stream,
    stderr: stderr.stream,
    env: {},
    pid: process.pid,
    hostArch: 'x64',
    versions: { node: '24.0.0' },
    isTerminal: false,
    columns: () => 80,
    signal: new AbortController().signal,
    createEngine: () => noEngine,
    ...own,
  });
  return { code, stdout: stdout.bytes(), stderr: stderr.bytes().toString() };
}

function collect(onText?: (text: string) => void) {
  const stream = new PassThrough();
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    onText?.(chunk.toString());
  });
  return { stream, bytes: () => Buffer.concat(chunks) };
}
