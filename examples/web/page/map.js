// The map: a surface's contours, and paths over them, as SVG.

const WIDTH = 800;
const HEIGHT = 600;
const DOTS = 10;
// How many colours style.css has. Beyond them lines are dashed.
const COLOURS = 8;

// `moved` is called with the point that a pointer or an arrow key chooses as the start.
export function makeMap(svg, moved) {
  const layers = { contours: group(svg), paths: group(svg), start: group(svg) };
  let surface;
  let start;

  const place = ([x, y]) => [
    ((x - surface.x[0]) / (surface.x[1] - surface.x[0])) * WIDTH,
    ((surface.y[1] - y) / (surface.y[1] - surface.y[0])) * HEIGHT,
  ];
  const point = (event) => {
    const box = svg.getBoundingClientRect();
    const [right, down] = [(event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height];
    return [between(surface.x, right), between(surface.y, 1 - down)];
  };
  const line = (points) => 'M' + points.map((point) => place(point).map(short).join(' ')).join('L');
  const disc = (layer, name, radius, at) => {
    const [cx, cy] = place(at).map(short);
    add(layer, 'circle', { class: name, r: radius, cx, cy });
  };

  svg.addEventListener('pointerdown', (event) => moved(point(event)));
  svg.addEventListener('pointermove', (event) => event.buttons && moved(point(event)));
  svg.addEventListener('keydown', (event) => {
    const [x, y] = ARROWS[event.key] ?? [0, 0];
    if (x || y) {
      event.preventDefault();
      moved([start[0] + x, start[1] + y]);
    }
  });

  return {
    setSurface(next) {
      surface = next;
      layers.contours.replaceChildren();
      for (const lines of surface.contours) {
        add(layers.contours, 'path', { class: 'contour', d: lines.map(line).join('') });
      }
      for (const minimum of surface.minima) disc(layers.contours, 'minimum', 8, minimum);
      svg.setAttribute('aria-label', `Map of the ${surface.name}`);
    },
    setStart(next) {
      start = next;
      layers.start.replaceChildren();
      disc(layers.start, 'start', 8, start);
    },
    // Each walk has a name, a colour's number and a path.
    draw(walks) {
      layers.paths.replaceChildren();
      for (const { name, colour, path } of walks) {
        const points = path.filter(isNear);
        const dots = points.filter((_, step) => step > 0 && step % DOTS === 0);
        const layer = add(layers.paths, 'g', { 'data-rule': name });
        paint(layer, colour);
        add(layer, 'title', {}).textContent = name;
        add(layer, 'path', { class: 'path', d: line(points) });
        add(layer, 'path', { class: 'dots', d: dots.map((dot) => line([dot]) + 'h0').join('') });
      }
    },
  };
}

const ARROWS = { ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] };

// Gives an element the colour of that number.
export function paint(element, colour) {
  element.style.setProperty('--colour', `var(--colour-${colour % COLOURS})`);
  element.classList.toggle('dashed', colour >= COLOURS);
}

// What is not a number comes as null. What is far outside says no more than where the path left.
const isNear = (point) => point.every((length) => length !== null && Math.abs(length) < 1e3);

const between = ([low, high], part) => low + (high - low) * part;
const short = (length) => Number(length.toFixed(1));

const group = (svg) => add(svg, 'g', {});

function add(parent, tag, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}
