// Runs the module that is named as its argument: node wasm.mjs gradstep-hash-runner.wasm
import fs from 'node:fs';

const host = {
  print: (start, len) => fs.writeSync(1, new Uint8Array(instance.exports.memory.buffer, start, len)),
};
const { instance } = await WebAssembly.instantiate(fs.readFileSync(process.argv[2]), { host });
process.exitCode = instance.exports._start() ? 0 : 1;
