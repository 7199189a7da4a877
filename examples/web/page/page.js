// The page: connects what is chosen on it with what is shown.

import { load } from './gradstep.js';
import { makeHashes } from './hashes.js';
import { makeMap } from './map.js';
import { makeWalks } from './walks.js';

const FIRST_CHOSEN = ['sgd', 'momentum', 'adam'];

const find = (id) => document.getElementById(id);

function run(gradstep) {
  const about = gradstep.about();
  const map = makeMap(find('map'), moveStart);
  const walks = makeWalks(gradstep, about, map, find('cards'));
  const hashes = makeHashes(gradstep, about);

  find('steps').textContent = about.steps;
  find('backend').textContent = about.backend;
  about.surfaces.forEach(({ name }, number) => {
    addChoice(find('surfaces'), 'radio', name, number === 0, () => setSurface(number));
  });
  about.rules.forEach(({ name }, rule) => {
    addChoice(find('rules'), 'checkbox', name, FIRST_CHOSEN.includes(name), (on) => setChosen(rule, on));
  });
  for (const field of startFields()) field.addEventListener('change', readStart);
  find('compare').addEventListener('click', () => compareAll(hashes));

  setSurface(0);
  FIRST_CHOSEN.forEach((name) => setChosen(about.rules.findIndex((rule) => rule.name === name), true));
  document.querySelector('main').hidden = false;

  function setSurface(number) {
    const { formula, lowest, start } = about.surfaces[number];
    find('formula').textContent = `${formula}; lowest ${lowest}`;
    showStart(start);
    walks.setSurface(number);
  }

  function setChosen(rule, on) {
    if (on) walks.add(rule);
    else walks.remove(rule);
    hashes.show(find('hashes'), walks.chosen());
  }

  function readStart() {
    const point = startFields().map((field) => field.valueAsNumber);
    if (point.every(Number.isFinite)) walks.setStart(point);
  }

  function moveStart(point) {
    showStart(point);
    readStart();
  }
}

const startFields = () => [find('start-x'), find('start-y')];

function showStart(point) {
  startFields().forEach((field, axis) => { field.value = Number(point[axis].toFixed(3)); });
}

async function compareAll(hashes) {
  find('compare').disabled = true;
  await hashes.compareAll((text) => { find('verdict').textContent = text; });
  find('compare').disabled = false;
}

// A radio button or a checkbox; `choose` is called with whether it is on.
function addChoice(fieldset, type, name, checked, choose) {
  const label = find('choice').content.firstElementChild.cloneNode(true);
  const input = label.querySelector('input');
  Object.assign(input, { type, checked, name: fieldset.id, value: name });
  input.addEventListener('change', () => choose(input.checked));
  // A long name may be broken after an underscore.
  label.querySelector('span').innerHTML = name.replaceAll('_', '_<wbr>');
  fieldset.append(label);
}

try {
  run(await load());
} catch (error) {
  find('failure').textContent = error.message;
  find('failure').hidden = false;
}
