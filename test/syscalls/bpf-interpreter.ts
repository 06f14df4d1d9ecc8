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

export function runFilter(program: Uint8Array, call: SyscallData): Run {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call.number, true);
  data.setUint32(4, call.architecture ?? 0xc000003e, true);
  data.setBigUint64(8, call.instructionPointer ?? 0n, true);
  call.arguments?.forEach((value, index) => data.setBigUint64(16 + 8 * index, value, true));

  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  let a = 0;
  let x = 0;
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
      case 0x54:
        a = (a & k) >>> 0;
        break;
      case 0x05:
        at += k;
        break;
      case 0x15:
        at += a === k ? jt : jf;
        break;
      case 0x25:
        at += a > k ? jt : jf;
        break;
      case 0x35:
        at += a >= k ? jt : jf;
        break;
      case 0x45:
        at += (a & k) === 0 ? jf : jt;
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
      default:
        throw new Error(`instruction ${at} has the unknown code 0x${opcode.toString(16)}`);
    }
  }
}
