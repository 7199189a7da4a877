// The page in a browser, by its buttons, sliders and keys. `test` runs it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { chromium } from 'playwright-core';

const { CHROMIUM, PICTURES } = process.env;
const FOLDER = path.join(import.meta.dirname, 'page');
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm' };
const QUIET = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

let server;
let address;
let browser;
let page;
let faults;

before(async () => {
  server = http.createServer(serve).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  address = `http://127.0.0.1:${server.address().port}/`;
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--headless', '--no-sandbox', ...QUIET] });
});

after(async () => {
  await browser?.close();
  server.close();
});

beforeEach(async () => {
  page = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
  page.setDefaultTimeout(20_000);
  faults = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && faults.push(message.text()));
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('request', (request) => {
    if (!request.url().startsWith(address) && !request.url().startsWith('data:')) faults.push(request.url());
  });
});

// No error was logged, and nothing asked of another host.
afterEach(async () => {
  await page.close();
  assert.deepEqual(faults, []);
});

function serve(request, response) {
  const name = request.url === '/' ? 'index.html' : path.basename(request.url);
  const file = path.join(FOLDER, name);
  const found = fs.existsSync(file);
  response.writeHead(found ? 200 : 404, { 'content-type': TYPES[path.extname(name)] ?? 'text/plain' });
  response.end(found ? fs.readFileSync(file) : '');
}

async function open() {
  await page.goto(address);
  await page.locator('main:visible, #failure:visible').waitFor();
  assert.equal(await page.locator('#failure').textContent(), '');
}

const line = (rule) => page.locator(`#map [data-rule=${rule}] .path`).getAttribute('d');
const drawn = (rule) => page.locator(`#map [data-rule=${rule}]`).count();
const card = (rule) => page.locator(`.card[data-rule=${rule}]`);
const box = (rule) => page.getByRole('checkbox', { name: rule, exact: true });

// The table, read without the page's help: rule, then its hash in each run; the page has all runs but the one of checkpoints.
function nativeTable() {
  const text = fs.readFileSync(path.join(import.meta.dirname, '../../portability/hashes.txt'), 'utf8');
  const [heads, ...rows] = text.trim().split('\n').slice(1).map((row) => row.replace('#', '').trim().split(/\s+/));
  return { runs: heads.slice(1).filter((head) => head !== 'checkpoint'), hashes: new Map(rows.map(([rule, ...hashes]) => [rule, hashes])) };
}

test('there is a checkbox for each rule, and some are drawn', async () => {
  await open();
  const names = await page.locator('#rules .choice').allInnerTexts();
  assert.deepEqual(names.map((name) => name.trim()), [...nativeTable().hashes.keys()]);
  assert.equal(await page.locator('#map [data-rule]').count(), 3);
  assert.match(await page.locator('#backend').innerText(), /^wide \(simd128, 4 lanes\)$/);
});

test('a rule is drawn while it is ticked', async () => {
  await open();
  await box('lion').check();
  assert.equal(await drawn('lion'), 1);
  assert.match(await card('lion').locator('.loss').innerText(), /^ends at -?[\d.e-]+$/);
  await box('lion').uncheck();
  assert.equal(await drawn('lion'), 0);
  assert.equal(await card('lion').count(), 0);
});

test('sliders change the path of their rule and of no other', async () => {
  await open();
  for (const [option, value] of [['lr', '-2.4'], ['momentum', '0.5']]) {
    const [momentum, adam] = [await line('momentum'), await line('adam')];
    const loss = await card('momentum').locator('.loss').innerText();
    await page.getByRole('slider', { name: `${option} of momentum` }).fill(value);
    assert.notEqual(await line('momentum'), momentum, option);
    assert.notEqual(await card('momentum').locator('.loss').innerText(), loss, option);
    assert.equal(await line('adam'), adam, option);
  }
  assert.deepEqual(await card('momentum').locator('.slider output').allInnerTexts(), ['0.00398', '0.5']);
  assert.equal(await page.getByRole('slider', { name: 'of sgd' }).count(), 1);
});

test('a rate that is too high is said to diverge', async () => {
  await open();
  await page.getByRole('slider', { name: 'lr of sgd' }).fill('2');
  assert.equal(await card('sgd').locator('.loss').innerText(), 'diverges');
});

test('paths start where the map is clicked', async () => {
  await open();
  const { width, height } = await page.locator('#map').boundingBox();
  await page.locator('#map').click({ position: { x: width / 4, y: height / 2 } });
  assert.match(await line('adam'), /^M(199|200|201)\S* (299|300|301)/);
  assert.ok(Math.abs(await page.locator('#start-x').inputValue() - -1.4) < 0.01);
  assert.ok(Math.abs(await page.locator('#start-y').inputValue() - -0.2) < 0.01);
});

test('another surface has its own contours, start and rates', async () => {
  await open();
  const contour = page.locator('#map .contour').first();
  const [valley, before] = [await contour.getAttribute('d'), await line('adam')];
  await page.getByRole('radio', { name: 'saddle' }).check();
  assert.notEqual(await contour.getAttribute('d'), valley);
  assert.notEqual(await line('adam'), before);
  assert.equal(await page.locator('#start-x').inputValue(), '-1.7');
  assert.equal(await card('adam').locator('.slider output').first().innerText(), '0.05');
  assert.match(await card('adam').locator('.loss').innerText(), /^ends at -0\.[45]/);
});

test('keys alone are enough', async () => {
  await open();
  await box('sgd').focus();
  await page.keyboard.press('Space');
  assert.equal(await drawn('sgd'), 0);
  for (const control of [page.locator('#map'), page.getByRole('slider', { name: 'lr of adam' })]) {
    const before = await line('adam');
    await control.focus();
    await page.keyboard.press('ArrowRight');
    assert.notEqual(await line('adam'), before);
  }
  await page.locator('#start-y').fill('1');
  await page.keyboard.press('Enter');
  assert.match(await line('adam'), /^M110 60L/);
});

test('the hashes shown are those of the native table', async () => {
  await open();
  const { runs, hashes } = nativeTable();
  const shown = ['sgd', 'momentum', 'adam', 'lamb', 'prodigy', 'schedulefree_adamw'];
  for (const rule of shown) await box(rule).check();
  const rows = await page.locator('#hashes tr').evaluateAll((rows) =>
    rows.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent)));
  const expected = shown.flatMap((rule) => runs.map((run, i) => {
    const hash = hashes.get(rule)[i];
    return [run, hash, hash, '✓ equal'];
  }));
  assert.deepEqual(rows, expected);
});

test('all rules have the native bits', async (context) => {
  await open();
  const since = performance.now();
  await page.getByRole('button', { name: 'Compare all rules' }).click();
  await page.getByText('have the native bits').waitFor({ timeout: 120_000 });
  const count = nativeTable().hashes.size;
  const verdict = await page.locator('#verdict').innerText();
  context.diagnostic(`${verdict}, ${((performance.now() - since) / 1000).toFixed(1)} s`);
  assert.equal(verdict, `${count} of ${count} rules have the native bits`);
});

test('a hash that differs is shown to', async () => {
  const hash = nativeTable().hashes.get('adam')[0];
  const wasm = fs.readFileSync(path.join(FOLDER, 'gradstep.wasm'));
  wasm.write('0123456789abcdef', wasm.indexOf(hash));
  await page.route('**/gradstep.wasm', (route) => route.fulfill({ body: wasm, contentType: 'application/wasm' }));
  await open();
  assert.deepEqual(await page.locator('#hashes .differs').allInnerTexts(), ['✗ differs']);
  await page.getByRole('button', { name: 'Compare all rules' }).click();
  await page.getByText('these differ: adam').waitFor({ timeout: 120_000 });
});

test('a page without its module says so', async () => {
  await page.route('**/gradstep.wasm', (route) => route.fulfill({ status: 404 }));
  await page.goto(address);
  await page.getByText('examples/web/build makes it').waitFor();
  // The browser logs the missing file itself.
  assert.match(faults.splice(0).join(), /404/);
});

test('pictures, to look at', async () => {
  await open();
  await box('lion').check();
  await box('prodigy').check();
  for (const [name, colorScheme, width] of [['light', 'light', 1280], ['dark', 'dark', 1280], ['narrow', 'dark', 400]]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 1000 });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, 'nothing sticks out');
    await page.screenshot({ path: path.join(PICTURES, `web-${name}.png`), fullPage: true });
  }
});
