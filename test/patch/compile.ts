import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SECTION_FLAGS = ['-ffunction-sections', '-fdata-sections'];

/** A temporary folder with a compiler; everything in it goes when the test ends. */
export class Workshop implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'atlas-patch-'));

  path(name: string): string {
    return join(this.folder, name);
  }

  write(name: string, content: string | Uint8Array): string {
    writeFileSync(this.path(name), content);
    return this.path(name);
  }

  /** Compiles C source to `name.o`. The source file is always `subject.c`, as when a file is changed in place. */
  object(name: string, source: string, flags: readonly string[] = ['-O2']): string {
    const language = flags.includes('-xc++') ? 'subject.cc' : 'subject.c';
    const file = this.write(language, source);
    const output = this.path(`${name}.o`);
    execFileSync('gcc', [...SECTION_FLAGS, '-w', ...flags, '-c', file, '-o', output], { stdio: 'pipe' });
    return output;
  }

  link(name: string, objects: readonly string[], flags: readonly string[] = []): string {
    const output = this.path(name);
    execFileSync('gcc', [...objects, '-o', output, '-Wl,--build-id', ...flags], { stdio: 'pipe' });
    return output;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
