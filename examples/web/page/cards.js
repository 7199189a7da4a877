// The card of a rule that is drawn: its name, where its path ends, and a slider for each of its options.

import { paint } from './map.js';

// A slider's range. That of lr is in powers of ten, from the picture book's smallest to its largest.
const LR = { min: -4, max: 2, step: 0.02, place: Math.log10, value: (place) => Number((10 ** place).toPrecision(3)) };
const DECAY = { min: 0, max: 0.999, step: 0.001, place: (value) => value, value: (place) => place };
const RANGES = { lr: LR, momentum: DECAY, beta1: DECAY };

// `values` are those of the options by name, and follow the sliders; `changed` is called after one has moved.
export function makeCard(name, colour, values, changed) {
  const element = copy('card');
  const loss = element.querySelector('.loss');
  const sliders = Object.keys(values).map((option) => makeSlider(name, option, values, changed));
  paint(element, colour);
  element.dataset.rule = name;
  element.querySelector('h3').textContent = name;
  element.querySelector('.sliders').append(...sliders.map((slider) => slider.element));
  return {
    element,
    showLoss: (number) => { loss.textContent = number === null ? 'diverges' : `ends at ${rounded(number)}`; },
    // Puts the sliders where the values are.
    showValues: () => sliders.forEach((slider) => slider.show()),
  };
}

function makeSlider(rule, option, values, changed) {
  const { min, max, step, place, value } = RANGES[option];
  const element = copy('slider');
  const input = element.querySelector('input');
  const showText = () => {
    element.querySelector('output').textContent = values[option];
    input.ariaValueText = values[option];
  };
  element.querySelector('span').textContent = option;
  Object.assign(input, { min, max, step, ariaLabel: `${option} of ${rule}` });
  input.addEventListener('input', () => {
    values[option] = value(input.valueAsNumber);
    showText();
    changed();
  });
  const show = () => {
    input.value = place(values[option]);
    showText();
  };
  show();
  return { element, show };
}

const copy = (template) => document.getElementById(template).content.firstElementChild.cloneNode(true);

function rounded(loss) {
  const size = Math.abs(loss);
  return size > 0 && (size < 1e-3 || size >= 1e4) ? loss.toExponential(1) : loss.toFixed(4);
}
