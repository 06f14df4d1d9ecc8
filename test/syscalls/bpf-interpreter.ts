/** Runs the classic BPF that seccomp accepts, independently of how `src/linux/bpf.ts` encodes it. */
export interface SyscallData {
  number: number;
  architecture?: number;
  instructionPointer?: bigint;
  arguments?: bigint[];
}

export interface Run {
  verdict: number;
  /** Whether the verdict may depend on more than architecture and number. */
  readOther: boolean;
}

const BRANCHES: Readonly<Record<number, (a: number, other: number) => boolean>> = {
  0x15: (a, other) => a === other,
  0x25: (a, other) => a > other,
  0x35: (a, other) => a >= other,
  0x45: (a, other) => (a & other) !== 0,
};

const OPERATIONS: Readonly<Record<number, (a: number, other: number) => number>> = {
  0x04: (a, other) => a + other,
  0x14: (a, other) => a - other,
  0x24: (a, other) => Math.imul(a, other),
  0x34: (a, other) => Math.floor(a / other),
  0x44: (a, other) => a | other,
  0x54: (a, other) => a & other,
  0x64: (a, other) => a << (other & 31),
  0x74: (a, other) => a >>> (other & 31),
  0xa4: (a, other) => a ^ other,
};

export function runFilter(program: Uint8Array, call: SyscallData): Run {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call.number, true);
  data.setUint32(4, call.architecture ?? 0xc000003e, true);
  data.setBigUint64(8, call.instructionPointer ?? 0n, true);
  call.arguments?.forEach((value, index) => data.setBigUint64(16 + 8 * index, value, true));

  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  let a = 0;
  let x = 0;
  const cells = new Uint32Array(16);
  let readOther = false;
  for (let at = 0; ; at++) {
    const opcode = code.getUint16(8 * at, true);
    const jt = code.getUint8(8 * at + 2);
    const jf = code.getUint8(8 * at + 3);
    const k = code.getUint32(8 * at + 4, true);
    switch (opcode) {
      case 0x20:
        if (k > 4) readOther = true;
        a = data.getUint32(k, true);
        break;
      case 0x00:
        a = k;
        break;
      case 0x01:
        x = k;
        break;
      case 0x80:
        a = 64;
        break;
      case 0x81:
        x = 64;
        break;
      case 0x60:
        a = cells[k]!;
        break;
      case 0x61:
        x = cells[k]!;
        break;
      case 0x02:
        cells[k] = a;
        break;
      case 0x03:
        cells[k] = x;
        break;
      case 0x05:
        at += k;
        break;
      case 0x07:
        x = a;
        break;
      case 0x87:
        a = x;
        break;
      case 0x06:
        return { verdict: k, readOther };
      case 0x16:
        return { verdict: a, readOther };
      case 0x84:
        a = -a >>> 0;
        break;
      default: {
        const other = opcode & 8 ? x : k;
        const branch = BRANCHES[opcode & ~8];
        const operation = OPERATIONS[opcode & ~8];
        // As a division by zero does (net/core/filter.c, bpf_convert_filter).
        if ((opcode & ~8) === 0x34 && other === 0) return { verdict: 0, readOther };
        if (branch) at += branch(a, other) ? jt : jf;
        else if (operation) a = operation(a, other) >>> 0;
        else throw new Error(`instruction ${at} has the unknown code 0x${opcode.toString(16)}`);
      }
    }
  }
}
