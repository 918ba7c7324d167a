'use strict';
// Shared by the pages. Whatever came from outside is set as text, never as markup.
const data = JSON.parse(document.getElementById('data').textContent);
const byId = id => document.getElementById(id);

// Tests look here: nothing may have gone wrong.
document.body.dataset.errors = '0';
window.addEventListener('error', () => {
  document.body.dataset.errors = String(Number(document.body.dataset.errors) + 1);
});

function element(kind, text, attributes = {}) {
  const e = document.createElement(kind);
  if (text !== undefined) e.textContent = text;
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  return e;
}

// As `format_bytes` of the command line: three significant digits.
function bytes(n) {
  if (n < 1024) return n + ' B';
  let unit = -1;
  let value = n;
  while (value >= 1024 && unit < 3) { value /= 1024; ++unit; }
  const digits = value >= 99.95 ? 1 : value >= 9.995 ? 1 : 2;
  return value.toFixed(digits) + ' ' + ['KiB', 'MiB', 'GiB', 'TiB'][unit];
}

function seconds(s) {
  if (!(s > 0)) return 'not known';
  return s >= 1 ? s.toFixed(2) + ' s' : (s * 1e3).toFixed(s < 0.01 ? 2 : 1) + ' ms';
}

function figure(name, value, note) {
  const box = element('div');
  box.append(element('dt', name));
  const dd = element('dd', value);
  if (note) dd.append(element('small', note));
  box.append(dd);
  byId('figures').append(box);
}

const color = name => getComputedStyle(document.documentElement).getPropertyValue('--' + name);

// Sizes the canvas to its place in real pixels; returns its context in page pixels.
function fitted(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || canvas.parentElement.clientWidth || 1000;
  canvas.style.height = height + 'px';
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = '12px ' + getComputedStyle(document.body).fontFamily;
  return { context, width, height };
}

// Round values between two ends, about `count` of them.
function ticks(from, to, count, steps = [1, 2, 5, 10]) {
  const wish = (to - from) / Math.max(1, count);
  if (!(wish > 0)) return [from];
  const power = 10 ** Math.floor(Math.log10(wish));
  const step = power * steps.find(s => s * power >= wish * 0.999);
  const all = [];
  for (let v = Math.ceil(from / step) * step; v <= to * (1 + 1e-9); v += step) all.push(v);
  return all;
}

// The same for bytes, in powers of two.
function byteTicks(from, to, count) {
  const wish = (to - from) / Math.max(1, count);
  const step = 2 ** Math.max(0, Math.ceil(Math.log2(wish)));
  const all = [];
  for (let v = Math.ceil(from / step) * step; v <= to; v += step) all.push(v);
  return all;
}

function powersOfTwo(from, to) {
  const all = [];
  for (let v = 2 ** Math.ceil(Math.log2(from)); v <= to; v *= 2) all.push(v);
  return all;
}

function showTip(text, x, y) {
  const tip = byId('tip');
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const box = tip.getBoundingClientRect();
  const left = x + 16 + box.width > window.innerWidth ? x - 16 - box.width : x + 16;
  const top = y + 16 + box.height > window.innerHeight ? y - 16 - box.height : y + 16;
  tip.style.left = Math.max(4, left) + 'px';
  tip.style.top = Math.max(4, top) + 'px';
}

function svg(kind, attributes = {}, text) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', kind);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  if (text !== undefined) e.textContent = text;
  return e;
}

// Says what a drawn element is, under the pointer and where it has the focus.
function hover(e, text) {
  e.addEventListener('pointermove', event => showTip(text, event.clientX, event.clientY));
  e.addEventListener('pointerleave', () => showTip(''));
  e.addEventListener('focus', () => {
    const box = e.getBoundingClientRect();
    showTip(text, box.right, box.bottom);
  });
  e.addEventListener('blur', () => showTip(''));
  e.append(svg('title', {}, text));
}

// Draws again when the window, or light and dark, change.
function redrawWith(draw) {
  new ResizeObserver(draw).observe(document.querySelector('main'));
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  draw();
}
