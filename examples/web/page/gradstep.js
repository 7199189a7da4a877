// The functions of gradstep.wasm, with their answers read. Numbers go in; a text in JSON comes out, of which the module
// gives the place.

export async function load() {
  const response = await fetch('gradstep.wasm');
  if (!response.ok) throw new Error('there is no gradstep.wasm here: examples/web/build makes it');
  const { instance } = await WebAssembly.instantiate(await response.arrayBuffer());
  const { memory, answer_len, about, best, walk, hash } = instance.exports;

  const answer = (start) => {
    const text = new Uint8Array(memory.buffer, start, answer_len());
    const value = JSON.parse(new TextDecoder().decode(text));
    if (value.error) throw new Error(value.error);
    return value;
  };
  return {
    about: () => answer(about()),
    best: (rule, surface) => answer(best(rule, surface)),
    // An option that is not given arrives as NaN, which leaves it alone.
    walk: (rule, surface, [x, y], { lr, momentum, beta1 }) =>
      answer(walk(rule, surface, x, y, lr, momentum, beta1)),
    hash: (rule, scene) => answer(hash(rule, scene)),
  };
}
