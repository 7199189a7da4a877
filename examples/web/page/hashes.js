// The table of hashes, and the comparison of all rules.

export function makeHashes(gradstep, { rules, scenes }) {
  const known = new Map();
  // A training run of 1000 steps takes a moment, and always comes to the same.
  const hash = (rule, scene) => {
    const key = `${rule} ${scene}`;
    if (!known.has(key)) known.set(key, gradstep.hash(rule, scene));
    return known.get(key);
  };
  const agrees = (rule) => scenes.every((_, scene) => isEqual(hash(rule, scene)));

  return {
    show(body, chosen) {
      body.replaceChildren();
      for (const rule of chosen) {
        scenes.forEach((name, scene) => {
          const row = body.insertRow();
          if (scene === 0) addHead(row, rules[rule].name, scenes.length);
          addCells(row, name, hash(rule, scene));
        });
      }
    },
    // Tells `say` how far it is, and what has come of it.
    async compareAll(say) {
      const differing = [];
      for (const [rule, { name }] of rules.entries()) {
        say(`${rule} of ${rules.length}`);
        await nextTask();
        if (!agrees(rule)) differing.push(name);
      }
      const equal = `${rules.length - differing.length} of ${rules.length} rules have the native bits`;
      say(differing.length ? `${equal}; these differ: ${differing.join(', ')}` : equal);
    },
  };
}

const isEqual = ({ here, native }) => here === native;

function addHead(row, text, rows) {
  const head = document.createElement('th');
  Object.assign(head, { scope: 'rowgroup', rowSpan: rows, textContent: text });
  row.append(head);
}

function addCells(row, scene, hash) {
  const equal = isEqual(hash);
  for (const text of [scene, hash.here, hash.native]) row.insertCell().textContent = text;
  const verdict = row.insertCell();
  verdict.textContent = equal ? '✓ equal' : '✗ differs';
  verdict.className = equal ? 'equal' : 'differs';
}

// So that the page can show how far it is.
const nextTask = () => new Promise((resolve) => setTimeout(resolve));
