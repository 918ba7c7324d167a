// Steps run to the right, addresses upwards.
const { plan, steps, blocks, categories } = data;
const stepCount = Math.max(1, steps.length);
const lanes = ['forward', 'again', 'backward', 'update'].filter(
    lane => steps.some(s => laneOf(s) === lane));
const laneText = { forward: 'forward', again: 'made again', backward: 'backward', update: 'update' };
const kLeft = 78, kRight = 14, kLane = 15, kAxis = 22;
const kTop = 14 + kLane * lanes.length;

function laneOf(step) {
  if (step.again) return 'again';
  return step.phase === 'forward' || step.phase === 'backward' ? step.phase : 'update';
}

// Bytes that the budget leaves for the arena; the axis shows it unless it is far above.
const leftForArena = plan.budget_bytes > 0 ? plan.budget_bytes - plan.fixed_bytes : null;
const topBytes = Math.max(plan.arena_bytes, plan.lower_bound_bytes,
    leftForArena !== null && leftForArena < 1.35 * plan.arena_bytes ? leftForArena : 0) * 1.04 || 1;

const whole = () => ({ x0: 0, x1: stepCount, y0: 0, y1: topBytes });
let view = whole();
let selected = -1, hovered = -1;
const shown = new Set(categories);

// The largest first, so that thin ones are not painted over; they never overlap anyway.
const order = blocks.map((b, i) => i).sort((a, b) => blocks[b].bytes - blocks[a].bytes);
const nameOf = b => b.tensors.map(t => t.name).join(', then ');

function stepText(i) {
  const s = steps[i];
  return s ? `${s.phase} ${s.op} ${s.layer}` : '';
}

function describe(i) {
  const b = blocks[i];
  const shapes = b.tensors.map(
      t => t.type ? (t.shape.length ? t.shape.join('x') : 'scalar') + ' ' + t.type : 'bytes');
  const always = b.first === 0 && b.last >= steps.length;
  const range = always ? `all ${steps.length} steps`
      : `steps [${b.first}, ${b.last}): ${stepText(b.first)} to ${stepText(b.last - 1)}`;
  return `${nameOf(b)}\n${b.category}, ${[...new Set(shapes)].join(', then ')}\n` +
      `${bytes(b.bytes)} (${b.bytes}) at offset ${b.offset}\n${range}`;
}

let box;  // of the chart's last drawing: { context, width, height }
const plotWidth = () => box.width - kLeft - kRight;
const plotHeight = () => box.height - kTop - kAxis;
const toX = step => kLeft + (step - view.x0) / (view.x1 - view.x0) * plotWidth();
const toY = at => kTop + (1 - (at - view.y0) / (view.y1 - view.y0)) * plotHeight();
const fromX = x => view.x0 + (x - kLeft) / plotWidth() * (view.x1 - view.x0);
const fromY = y => view.y0 + (1 - (y - kTop) / plotHeight()) * (view.y1 - view.y0);

function draw() {
  const canvas = byId('chart');
  box = fitted(canvas, Math.max(380, Math.min(640, window.innerHeight * 0.62)));
  const c = box.context;
  c.clearRect(0, 0, box.width, box.height);
  drawAxes(c);
  c.save();
  c.beginPath();
  c.rect(kLeft, kTop, plotWidth(), plotHeight());
  c.clip();
  const drawn = drawBlocks(c);
  drawLines(c);
  c.restore();
  drawLanes(c);
  drawOverview();
  canvas.dataset.drawn = String(drawn);
  canvas.dataset.filter = [...shown].join(' ');
}

function drawAxes(c) {
  c.strokeStyle = color('grid');
  c.fillStyle = color('soft');
  c.lineWidth = 1;
  c.textAlign = 'right';
  c.textBaseline = 'middle';
  for (const v of byteTicks(view.y0, view.y1, plotHeight() / 60)) {
    const y = Math.round(toY(v)) + 0.5;
    c.beginPath(); c.moveTo(kLeft, y); c.lineTo(box.width - kRight, y); c.stroke();
    c.fillText(v === 0 ? '0' : bytes(v), kLeft - 8, y);
  }
  c.textAlign = 'center';
  c.textBaseline = 'top';
  for (const v of ticks(view.x0, view.x1, plotWidth() / 90)) {
    if (v % 1) continue;
    c.fillText(v === 0 ? 'step 0' : String(v), toX(v), box.height - kAxis + 6);
  }
}

// Returns how many rectangles were drawn.
function drawBlocks(c) {
  const paint = Object.fromEntries(categories.map(name => [name, color(name)]));
  const card = color('card');
  let drawn = 0;
  for (const i of order) {
    const b = blocks[i];
    if (!shown.has(b.category)) continue;
    const x = toX(b.first), w = toX(b.last) - x;
    const y = toY(b.offset + b.bytes), h = toY(b.offset) - y;
    ++drawn;
    if (x > box.width || x + w < kLeft || y > box.height || y + h < kTop) continue;
    c.globalAlpha = i === selected || i === hovered ? 1 : 0.86;
    c.fillStyle = paint[b.category];
    c.fillRect(x, y, Math.max(w, 0.7), Math.max(h, 0.5));
    if (w > 3 && h > 3) {
      c.globalAlpha = 0.9;
      c.strokeStyle = card;
      c.lineWidth = 0.7;
      c.strokeRect(x, y, w, h);
    }
    label(c, b, x, y, w, h);
  }
  c.globalAlpha = 1;
  for (const i of [hovered, selected]) if (i >= 0) frame(c, blocks[i]);
  return drawn;
}

function label(c, b, x, y, w, h) {
  const left = Math.max(x, kLeft) + 5;
  const room = Math.min(x + w, box.width - kRight) - left - 5;
  if (h < 15 || room < 40) return;
  let text = b.tensors[0].name;
  if (c.measureText(text).width > room) text = text.split('.').slice(-2).join('.');
  if (c.measureText(text).width > room) return;
  c.globalAlpha = 1;
  c.fillStyle = '#10131a';
  c.textAlign = 'left';
  c.textBaseline = 'middle';
  c.fillText(text, left, Math.max(y, kTop) + Math.min(h / 2, 12));
}

function frame(c, b) {
  const x = toX(b.first), y = toY(b.offset + b.bytes);
  const w = Math.max(2, toX(b.last) - x), h = Math.max(2, toY(b.offset) - y);
  c.strokeStyle = color('ink');
  c.lineWidth = 2;
  c.strokeRect(x, y, w, h);
}

function drawLines(c) {
  const peak = toX(data.peak_step + 0.5);
  c.strokeStyle = color('ink');
  c.setLineDash([2, 3]);
  c.lineWidth = 1.2;
  c.beginPath(); c.moveTo(peak, kTop); c.lineTo(peak, box.height - kAxis); c.stroke();
  tag(c, `peak: step ${data.peak_step}`, peak, box.height - kAxis - 12, 'ink', peak > box.width - 130);
  line(c, plan.lower_bound_bytes, 'bound', [7, 4],
      `lower bound ${bytes(plan.lower_bound_bytes)}`, false, 0.62);
  if (leftForArena === null) return;
  const text = `budget ${bytes(plan.budget_bytes)} less fixed ${bytes(plan.fixed_bytes)}: ` +
      `${bytes(Math.max(0, leftForArena))} for the arena`;
  if (leftForArena <= topBytes) {
    line(c, Math.max(0, leftForArena), 'budget', [], text, true, 0.02);
  } else if (view.y1 >= topBytes * 0.999) {
    tag(c, '\u2191 ' + text, kLeft + 8, kTop + 10, 'budget');
  }
}

// `above`: where its words stand. `at`: how far to the right, from 0 to 1.
function line(c, value, paint, dash, text, above, at) {
  const y = toY(value);
  c.strokeStyle = color(paint);
  c.setLineDash(dash);
  c.lineWidth = 1.6;
  c.beginPath(); c.moveTo(kLeft, y); c.lineTo(box.width - kRight, y); c.stroke();
  c.setLineDash([]);
  const inside = y + (above ? -10 : 11);
  tag(c, text, kLeft + plotWidth() * at, Math.max(kTop + 9, inside), paint);
}

function tag(c, text, x, y, paint, leftwards = false) {
  c.setLineDash([]);
  const w = c.measureText(text).width + 10;
  if (leftwards) x -= w + 8;
  c.globalAlpha = 0.9;
  c.fillStyle = color('card');
  c.fillRect(x + 4, y - 9, w, 18);
  c.globalAlpha = 1;
  c.fillStyle = color(paint);
  c.textAlign = 'left';
  c.textBaseline = 'middle';
  c.fillText(text, x + 9, y + 0.5);
}

function drawLanes(c) {
  c.textAlign = 'right';
  c.textBaseline = 'middle';
  lanes.forEach((lane, row) => {
    const y = 6 + row * kLane;
    c.fillStyle = color('soft');
    c.fillText(laneText[lane], kLeft - 8, y + 5);
    c.fillStyle = color('grid');
    c.fillRect(kLeft, y, plotWidth(), kLane - 4);
    c.fillStyle = color('lane-' + lane);
    for (let s = 0; s < steps.length;) {
      let end = s;
      while (end < steps.length && laneOf(steps[end]) === lane) ++end;
      if (end > s) {
        const x0 = Math.max(kLeft, toX(s)), x1 = Math.min(box.width - kRight, toX(end));
        if (x1 > x0) c.fillRect(x0, y, Math.max(x1 - x0, 0.8), kLane - 4);
      }
      s = Math.max(end, s + 1);
    }
  });
}

// Live bytes by category at each step, from the blocks.
const live = categories.map(() => new Float64Array(stepCount));
for (const b of blocks) {
  const row = live[categories.indexOf(b.category)];
  for (let s = b.first; s < Math.min(b.last, stepCount); ++s) row[s] += b.bytes;
}

function drawOverview() {
  const { context: c, width, height } = fitted(byId('overview'), 74);
  const w = width - kLeft - kRight;
  const x = s => kLeft + s / stepCount * w;
  const y = v => height - 2 - v / topBytes * (height - 4);
  c.clearRect(0, 0, width, height);
  const below = new Float64Array(stepCount);
  categories.forEach((name, k) => {
    c.fillStyle = color(name);
    c.beginPath();
    c.moveTo(x(0), y(below[0]));
    for (let s = 0; s < stepCount; ++s) {
      c.lineTo(x(s), y(below[s] + live[k][s]));
      c.lineTo(x(s + 1), y(below[s] + live[k][s]));
    }
    for (let s = stepCount - 1; s >= 0; --s) {
      c.lineTo(x(s + 1), y(below[s]));
      c.lineTo(x(s), y(below[s]));
      below[s] += live[k][s];
    }
    c.fill();
  });
  c.fillStyle = color('soft');
  c.textAlign = 'right';
  c.textBaseline = 'middle';
  c.fillText(bytes(plan.lower_bound_bytes), kLeft - 8, y(plan.lower_bound_bytes) + 4);
  c.strokeStyle = color('ink');
  c.lineWidth = 1.5;
  c.strokeRect(x(view.x0) + 0.5, y(Math.min(view.y1, topBytes)) - 1, x(view.x1) - x(view.x0) - 1,
      y(Math.max(0, view.y0)) - y(Math.min(view.y1, topBytes)) + 1);
}

function blockAt(x, y) {
  if (x < kLeft || x > box.width - kRight || y < kTop || y > box.height - kAxis) return -1;
  const step = fromX(x), at = fromY(y);
  return blocks.findIndex(b => shown.has(b.category) && b.first <= step && step < b.last &&
      b.offset <= at && at < b.offset + b.bytes);
}

function select(i, scroll = false) {
  selected = i;
  byId('details').textContent = i < 0 ? '' : describe(i);
  if (i >= 0 && scroll) reveal(blocks[i]);
  draw();
}

// Moves the view so that the block is in it.
function reveal(b) {
  const w = view.x1 - view.x0, h = view.y1 - view.y0;
  const x = Math.min(Math.max(view.x0, b.last - w), b.first);
  const y = Math.min(Math.max(view.y0, b.offset + b.bytes - h), b.offset);
  show(x, x + w, y, y + h);
}

// Keeps the view inside the arena, and no closer than a few steps and bytes.
function show(x0, x1, y0, y1) {
  const w = Math.min(stepCount, Math.max(4, x1 - x0));
  const h = Math.min(topBytes, Math.max(4096, y1 - y0));
  x0 = Math.min(Math.max(0, x0), stepCount - w);
  y0 = Math.min(Math.max(0, y0), topBytes - h);
  view = { x0, x1: x0 + w, y0, y1: y0 + h };
}

function zoom(factor, x = kLeft + plotWidth() / 2, y = kTop + plotHeight() / 2) {
  const step = fromX(x), at = fromY(y);
  show(step - (step - view.x0) / factor, step + (view.x1 - step) / factor,
      at - (at - view.y0) / factor, at + (view.y1 - at) / factor);
  draw();
}

function pan(dx, dy) {  // in shares of the view
  const w = view.x1 - view.x0, h = view.y1 - view.y0;
  show(view.x0 + dx * w, view.x1 + dx * w, view.y0 + dy * h, view.y1 + dy * h);
  draw();
}

function toPeak() {
  const w = Math.min(stepCount, Math.max(24, stepCount / 12));
  show(data.peak_step + 0.5 - w / 2, data.peak_step + 0.5 + w / 2, 0, topBytes);
  draw();
}

// The nearest shown block that way from the selected one.
function neighbour(key) {
  if (selected < 0) return largestAtPeak()[0] ?? -1;
  const from = blocks[selected];
  const sideways = key === 'ArrowLeft' || key === 'ArrowRight';
  const sign = key === 'ArrowRight' || key === 'ArrowUp' ? 1 : -1;
  let best = -1, least = Infinity;
  blocks.forEach((b, i) => {
    if (i === selected || !shown.has(b.category)) return;
    const inTime = b.first < from.last && from.first < b.last;
    if (!sideways && !inTime) return;
    const ahead = sign * (sideways ? b.first - from.first : b.offset - from.offset);
    if (ahead <= 0) return;
    const apart = Math.abs(b.offset - from.offset) / topBytes * stepCount;
    const cost = sideways ? ahead + apart : ahead;
    if (cost < least) { least = cost; best = i; }
  });
  return best >= 0 ? best : selected;
}

function largestAtPeak() {
  const at = data.peak_step;
  return order.filter(i => blocks[i].first <= at && at < blocks[i].last);
}

function keyDown(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const moves = { ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, 0.2], ArrowDown: [0, -0.2] };
  if (event.key === '+' || event.key === '=') zoom(1.5);
  else if (event.key === '-') zoom(1 / 1.5);
  else if (event.key === '0') { view = whole(); draw(); }
  else if (event.key === 'p') toPeak();
  else if (event.key === 'Escape') select(-1);
  else if (moves[event.key] && event.shiftKey) pan(...moves[event.key]);
  else if (moves[event.key]) select(neighbour(event.key), true);
  else return;
  event.preventDefault();
}

function listenToPointer() {
  const canvas = byId('chart');
  let from = null, moved = false;
  canvas.addEventListener('pointerdown', event => {
    from = { x: event.offsetX, y: event.offsetY, view };
    moved = false;
    if (canvas.setPointerCapture && event.isTrusted) canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', event => {
    if (from && (moved || Math.hypot(event.offsetX - from.x, event.offsetY - from.y) > 4)) {
      moved = true;
      const v = from.view;
      const dx = (from.x - event.offsetX) / plotWidth() * (v.x1 - v.x0);
      const dy = (event.offsetY - from.y) / plotHeight() * (v.y1 - v.y0);
      show(v.x0 + dx, v.x1 + dx, v.y0 + dy, v.y1 + dy);
      draw();
      return;
    }
    const at = blockAt(event.offsetX, event.offsetY);
    showTip(at < 0 ? '' : describe(at), event.clientX, event.clientY);
    if (at !== hovered) { hovered = at; draw(); }
  });
  canvas.addEventListener('pointerup', event => {
    if (from && !moved) select(blockAt(event.offsetX, event.offsetY));
    from = null;
  });
  canvas.addEventListener('pointerleave', () => {
    showTip('');
    if (hovered >= 0) { hovered = -1; draw(); }
  });
  canvas.addEventListener('wheel', event => {
    if (!event.ctrlKey && !event.metaKey) return;  // the page scrolls
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 300), event.offsetX, event.offsetY);
  }, { passive: false });
  canvas.addEventListener('dblclick', event => zoom(2, event.offsetX, event.offsetY));
  canvas.addEventListener('keydown', keyDown);
}

function makeFilters() {
  byId('filters').append(element('span', 'at the peak', { class: 'hint' }));
  categories.forEach(name => {
    const button = element('button', undefined, { 'aria-pressed': 'true', 'data-category': name });
    const swatch = element('span', undefined, { class: 'swatch' });
    swatch.style.background = `var(--${name})`;
    button.append(swatch, `${name} ${bytes(plan.by_category[name])}`);
    button.title = 'At the peak step; press to show or hide';
    button.addEventListener('click', () => {
      const on = !shown.has(name);
      on ? shown.add(name) : shown.delete(name);
      button.setAttribute('aria-pressed', String(on));
      button.style.opacity = on ? '' : '0.4';
      draw();
    });
    byId('filters').append(button);
  });
}

function find() {
  const text = byId('find').value.trim().toLowerCase();
  const hits = text ? order.filter(i => nameOf(blocks[i]).toLowerCase().includes(text)) : [];
  byId('found').textContent = text ? `${hits.length} found` : '';
  const next = hits[(hits.indexOf(selected) + 1) % Math.max(1, hits.length)];
  select(next === undefined ? -1 : next, true);
}

function fillPage() {
  const o = data.options;
  byId('title').textContent = `${o.model}, batch ${o.batch}`;
  const verdict = byId('verdict');
  const bounded = plan.budget_bytes > 0;
  verdict.textContent = !bounded ? 'no budget given'
      : `${plan.fits ? 'fits' : 'does not fit'} in ${bytes(plan.budget_bytes)}`;
  verdict.classList.add(!bounded ? 'none' : plan.fits ? 'good' : 'bad');
  byId('settings').textContent = `${o.input} images, ${o.classes} classes, width ${o.width}, ` +
      `${o.norm} norm, ${o.optimizer}, ${o.threads} ${o.threads === 1 ? 'thread' : 'threads'}, ` +
      `backend ${o.backend}` + (o.allow.length ? `, allowed: ${o.allow.join(', ')}` : '');
  figure('whole process', bytes(plan.process_bytes), `fixed ${bytes(plan.fixed_bytes)} + arena`);
  figure('arena', bytes(plan.arena_bytes),
      `${(plan.arena_bytes / plan.lower_bound_bytes).toFixed(3)} of its lower bound`);
  figure('budget', bounded ? bytes(plan.budget_bytes) : 'none',
      `smallest that fits: ${bytes(plan.smallest_budget_bytes)}`);
  figure('step', seconds(plan.predicted_step_seconds),
      plan.predicted_step_seconds > 0 ? 'predicted' : 'this machine was not measured');
  figure('promise', plan.promise, {
    bit_exact: 'the same bits as without a budget',
    same_math: 'the same sums in another order',
    approximate: 'another computation, as allowed',
  }[plan.promise]);
  figure('timeline', `${steps.length} steps`, `${blocks.length} places in memory` +
      (data.microbatches > 1 ? `; each of ${data.microbatches} microbatches` : ''));
  byId('peak-title').textContent =
      `Largest at the peak, step ${data.peak_step}: ${stepText(data.peak_step)}`;
  byId('techniques').textContent = plan.techniques.join(', ');
  byId('uses').hidden = plan.uses.length === 0;
  for (const use of plan.uses) byId('uses').tBodies[0].append(useRow(use));
  for (const i of largestAtPeak().slice(0, 12)) byId('live').append(row(i));
}

// What a technique saves and costs beside those above it.
function useRow(use) {
  const tr = element('tr');
  const sign = (value, text) => (value < 0 ? '\u2212' : '') + text;
  const time = Math.abs(use.cost_seconds) < 5e-6 ? ''
      : (use.cost_seconds < 0 ? '' : '+') + sign(use.cost_seconds, seconds(Math.abs(use.cost_seconds)));
  tr.append(element('td', use.name, { class: 'word' }),
      element('td', sign(use.saved_bytes, bytes(Math.abs(use.saved_bytes))), { class: 'number' }),
      element('td', time, { class: 'number' }), element('td', use.where));
  return tr;
}

function row(i) {
  const b = blocks[i];
  const tr = element('tr');
  const name = element('td', undefined, { style: 'min-width: 15em' });
  const button = element('button', nameOf(b), { style: 'text-align: left; overflow-wrap: anywhere' });
  button.addEventListener('click', () => { select(i, true); byId('chart').scrollIntoView(); });
  name.append(button);
  const category = element('td');
  const swatch = element('span', undefined, { class: 'swatch' });
  swatch.style.background = `var(--${b.category})`;
  category.append(swatch, b.category);
  const shape = b.tensors[0].type ? b.tensors[0].shape.join('x') || 'scalar' : '-';
  tr.append(name, category, element('td', bytes(b.bytes), { class: 'number' }),
      element('td', shape), element('td', `[${b.first}, ${b.last})`, { class: 'number' }),
      element('td', String(b.offset), { class: 'number' }));
  return tr;
}

fillPage();
makeFilters();
listenToPointer();
byId('closer').addEventListener('click', () => zoom(1.5));
byId('farther').addEventListener('click', () => zoom(1 / 1.5));
byId('whole').addEventListener('click', () => { view = whole(); draw(); });
byId('peak').addEventListener('click', toPeak);
byId('find').addEventListener('change', find);
redrawWith(draw);
// A link to one block: page.html#block=17
const wanted = /^#block=(\d+)$/.exec(location.hash);
if (wanted && blocks[Number(wanted[1])]) select(Number(wanted[1]));
