// The rules that are drawn, on which surface and from where.

import { makeCard } from './cards.js';

// Keeps the map and the cards in step with what is chosen.
export function makeWalks(gradstep, { rules, surfaces }, map, cards) {
  // By the rule's number: its colour, the values of its options and its card.
  const chosen = new Map();
  let surface = 0;
  let start;

  function draw() {
    const walks = [...chosen].map(([rule, { colour, values, card }]) => {
      const { path, loss } = gradstep.walk(rule, surface, start, values);
      card.showLoss(loss);
      return { name: rules[rule].name, colour, path };
    });
    map.draw(walks);
  }

  function setStart(point) {
    start = point;
    map.setStart(start);
    draw();
  }

  return {
    setStart,
    setSurface(number) {
      surface = number;
      map.setSurface(surfaces[surface]);
      for (const [rule, { values, card }] of chosen) {
        values.lr = gradstep.best(rule, surface);
        card.showValues();
      }
      setStart(surfaces[surface].start);
    },
    add(rule) {
      const { name, options } = rules[rule];
      const colour = freeColour(chosen);
      const values = { lr: gradstep.best(rule, surface), ...options };
      const card = makeCard(name, colour, values, draw);
      chosen.set(rule, { colour, values, card });
      cards.append(card.element);
      draw();
    },
    remove(rule) {
      chosen.get(rule).card.element.remove();
      chosen.delete(rule);
      draw();
    },
    // The numbers of the rules, in the order in which they were added.
    chosen: () => [...chosen.keys()],
  };
}

// The smallest that no chosen rule has.
function freeColour(chosen) {
  const taken = new Set([...chosen.values()].map(({ colour }) => colour));
  let colour = 0;
  while (taken.has(colour)) colour += 1;
  return colour;
}
