// node-allocate.mjs [SECONDS]: makes garbage of all sizes, keeps some of it alive; prints the rounds per second.
const seconds = Number(process.argv[2] ?? 2);
const kept = [];
let rounds = 0;
let checksum = 0;
const start = process.hrtime.bigint();
const end = start + BigInt(Math.round(seconds * 1e9));

while (process.hrtime.bigint() < end) {
  for (let i = 0; i < 200; i++) {
    const record = { id: rounds, name: `record ${rounds}`, tags: [rounds & 7, 'x'.repeat(rounds % 50)] };
    const copy = JSON.parse(JSON.stringify(record));
    checksum += copy.name.length + copy.tags[1].length;
    kept[rounds % 20_000] = copy;
    rounds++;
  }
  // Buffers of this size live outside V8's heap: malloc, and mmap above its threshold.
  const buffer = Buffer.alloc(64 * 1024 + (rounds % 7) * 40_000, rounds & 0xff);
  checksum += buffer[buffer.length - 1];
}

if (!Number.isFinite(checksum)) process.exit(1);
console.log((rounds / (Number(process.hrtime.bigint() - start) / 1e9)).toFixed(0));
