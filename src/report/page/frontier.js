// Memory to the right, time upwards: the lower left corner is the best.
const { points, measured, options } = data;
const planned = points.filter(p => p.planned);
const promiseColor = { bit_exact: 'weights', same_math: 'saved', approximate: 'temporaries' };
const promiseText = {
  bit_exact: 'the same bits',
  same_math: 'the same sums in another order',
  approximate: 'another computation, as allowed',
};
const kLeft = 76, kRight = 60, kTop = 16, kBottom = 44, kHeight = 460;

const most = (values, least) => values.reduce((a, b) => Math.max(a, b), least);
const fits = options.budget_bytes > 0
    ? planned.find(p => p.process_bytes <= options.budget_bytes) : undefined;

function describe(p) {
  return `${bytes(p.process_bytes)}, ${seconds(p.predicted_step_seconds)} a step\n` +
      `${p.slowdown.toFixed(2)}x the fastest; ${p.promise}: ${promiseText[p.promise]}\n` +
      (p.planned ? 'a real plan' : 'estimated from the plans beside it') +
      `: ${p.techniques.join(', ') || 'keeps everything'}`;
}

function draw() {
  const chart = byId('chart');
  chart.replaceChildren();
  const width = chart.clientWidth || 1000;
  chart.setAttribute('viewBox', `0 0 ${width} ${kHeight}`);
  chart.style.height = kHeight + 'px';
  const least = values => values.reduce((a, b) => Math.min(a, b), Infinity);
  const allBytes = [...points.map(p => p.process_bytes), ...measured.points.map(m => m.bytes)];
  const allSeconds = [...points.map(p => p.predicted_step_seconds),
    ...measured.points.map(m => m.seconds)];
  const mostBytes = 1.04 * most([...allBytes, options.budget_bytes], 1);
  const mostSeconds = 1.04 * most(allSeconds, 1e-9);
  // Where the axes begin: below everything, with room for the eye. Bytes by ratios where they are
  // far apart.
  const smallest = least([...allBytes, options.budget_bytes || Infinity]);
  const byRatio = mostBytes > 4 * smallest;
  const fewestBytes = byRatio ? smallest * 0.85 : Math.max(0, smallest * 1.1 - mostBytes * 0.1);
  const place = byRatio ? Math.log : v => v;
  const fewestSeconds = Math.max(0, least(allSeconds) * 1.12 - mostSeconds * 0.12);
  const x = v => kLeft + (place(v) - place(fewestBytes)) /
      (place(mostBytes) - place(fewestBytes)) * (width - kLeft - kRight);
  const y = v => kHeight - kBottom -
      (v - fewestSeconds) / (mostSeconds - fewestSeconds) * (kHeight - kTop - kBottom);
  drawAxes(chart, width, x, y, byRatio, [fewestBytes, mostBytes], [fewestSeconds, mostSeconds]);
  drawBudget(chart, x, width);
  drawCurve(chart, x, y, mostSeconds);
  for (const p of points.filter(p => !p.planned)) {
    const dot = svg('circle', { cx: x(p.process_bytes), cy: y(p.predicted_step_seconds), r: 2.6,
      class: 'estimate', fill: `var(--${promiseColor[p.promise]})`, opacity: 0.5 });
    hover(dot, describe(p));
    chart.append(dot);
  }
  for (const p of planned) {
    const dot = svg('circle', { cx: x(p.process_bytes), cy: y(p.predicted_step_seconds),
      r: p === fits ? 8 : 5.5, class: 'planned', tabindex: 0, role: 'img',
      fill: `var(--${promiseColor[p.promise]})`, stroke: 'var(--card)', 'stroke-width': 1.5,
      'aria-label': describe(p) });
    hover(dot, describe(p));
    chart.append(dot);
  }
  drawMeasured(chart, x, y, width);
}

function drawAxes(chart, width, x, y, byRatio, [leastBytes, mostBytes], [leastSeconds, mostSeconds]) {
  const soft = { fill: 'var(--soft)', 'font-size': 12 };
  const bottom = kHeight - kBottom;
  for (const v of byRatio ? powersOfTwo(leastBytes, mostBytes)
      : byteTicks(leastBytes, mostBytes, (width - kLeft) / 110)) {
    chart.append(svg('line', { x1: x(v), x2: x(v), y1: kTop, y2: bottom, stroke: 'var(--grid)' }));
    chart.append(svg('text', { x: x(v), y: bottom + 18, 'text-anchor': 'middle', ...soft },
        v === 0 ? '0' : bytes(v)));
  }
  for (const v of ticks(leastSeconds, mostSeconds, 8)) {
    chart.append(svg('line',
        { x1: kLeft, x2: width - kRight, y1: y(v), y2: y(v), stroke: 'var(--grid)' }));
    chart.append(svg('text', { x: kLeft - 10, y: y(v) + 4, 'text-anchor': 'end', ...soft },
        v === 0 ? '0' : seconds(v)));
  }
  const fastest = planned[0].predicted_step_seconds;
  for (const v of ticks(leastSeconds / fastest, mostSeconds / fastest, 8)) {
    chart.append(svg('text', { x: width - kRight + 8, y: y(v * fastest) + 4, ...soft },
        v.toFixed(2) + 'x'));
  }
  chart.append(svg('text', { x: width - kRight, y: kHeight - 6, 'text-anchor': 'end', ...soft },
      'peak memory of the whole process' + (byRatio ? ', by ratios' : '') +
      (leastBytes > 0 || leastSeconds > 0 ? '; the axes do not begin at 0' : '')));
}

function drawBudget(chart, x, width) {
  if (!(options.budget_bytes > 0)) return;
  const at = x(options.budget_bytes);
  chart.append(svg('line', { x1: at, x2: at, y1: kTop, y2: kHeight - kBottom,
    stroke: 'var(--budget)', 'stroke-width': 1.6, class: 'budget' }));
  const leftwards = at > width - 140;
  chart.append(svg('text', { x: at + (leftwards ? -7 : 7), y: kTop + 12, fill: 'var(--budget)',
    'font-size': 12.5, 'text-anchor': leftwards ? 'end' : 'start' },
      `budget ${bytes(options.budget_bytes)}`));
}

// A staircase: between two plans, a budget gets the larger step time.
function drawCurve(chart, x, y, mostSeconds) {
  const last = planned[planned.length - 1];
  let path = `M ${x(last.process_bytes)} ${y(mostSeconds)}`;
  for (let i = planned.length - 1; i >= 0; --i) {
    path += ` H ${x(planned[i].process_bytes)} V ${y(planned[i].predicted_step_seconds)}`;
  }
  path += ` H ${chart.viewBox.baseVal.width - kRight}`;
  chart.append(svg('path', { d: path + ` V ${y(mostSeconds)} Z`, fill: 'var(--weights)',
    opacity: 0.07 }));
  chart.append(svg('path', { d: path, fill: 'none', stroke: 'var(--soft)', 'stroke-width': 1.4 }));
}

function drawMeasured(chart, x, y, width) {
  const taken = [];
  for (const m of measured.points) {
    const cx = x(m.bytes), cy = y(m.seconds);
    const mark = svg('path', { d: `M ${cx} ${cy - 7} l 7 7 l -7 7 l -7 -7 Z`, class: 'measured',
      fill: 'var(--ink)', stroke: 'var(--card)', 'stroke-width': 1.5, tabindex: 0, role: 'img',
      'aria-label': m.name });
    hover(mark, `${m.name}\n${bytes(m.bytes)}, ${seconds(m.seconds)} a step, measured\n` +
        measured.settings);
    chart.append(mark);
    const leftwards = cx > width * 0.7;
    let ty = cy + 4;
    while (taken.some(t => Math.abs(t.y - ty) < 14 && Math.abs(t.x - cx) < 260)) ty += 14;
    taken.push({ x: cx, y: ty });
    chart.append(svg('text', { x: cx + (leftwards ? -12 : 12), y: ty, 'font-size': 12.5,
      fill: 'var(--ink)', 'text-anchor': leftwards ? 'end' : 'start', 'paint-order': 'stroke',
      stroke: 'var(--card)', 'stroke-width': 4 }, m.name));
  }
}

function legendEntry(paint, text, shape = '50%') {
  const entry = element('span');
  const swatch = element('span', undefined, { class: 'swatch' });
  swatch.style.background = `var(--${paint})`;
  swatch.style.borderRadius = shape;
  entry.append(swatch, text);
  entry.style.marginRight = '12px';
  byId('legend').append(entry);
}

function fillPage() {
  byId('title').textContent =
      'frontier of ' + options.model + (options.batch > 0 ? `, batch ${options.batch}` : '');
  byId('settings').textContent = `${options.norm} norm, ${options.optimizer}` +
      (options.input ? `, ${options.input} images` : '') +
      (options.allow.length ? `, allowed: ${options.allow.join(', ')}` : '');
  const first = planned[0], last = planned[planned.length - 1];
  figure('fastest', seconds(first.predicted_step_seconds), `in ${bytes(first.process_bytes)}`);
  figure('smallest', bytes(last.process_bytes),
      `${seconds(last.predicted_step_seconds)}, ${last.slowdown.toFixed(2)}x`);
  const half = planned.find(p => p.process_bytes <= first.process_bytes / 2);
  if (half) figure('half the memory', half.slowdown.toFixed(2) + 'x', bytes(half.process_bytes));
  if (options.budget_bytes > 0) {
    figure('budget', bytes(options.budget_bytes),
        fits ? `fits: ${fits.slowdown.toFixed(2)}x` : 'none fits');
  }
  for (const promise of Object.keys(promiseColor)) {
    if (points.some(p => p.promise === promise)) {
      legendEntry(promiseColor[promise], `${promise}: ${promiseText[promise]}`);
    }
  }
  if (planned.length < points.length) {
    byId('legend').append(element('span', 'small and pale: estimated'));
  }
  if (measured.points.length) {
    legendEntry('ink', 'measured elsewhere', '2px');
    byId('source').textContent = measured.settings && `Measured: ${measured.settings}`;
  }
  for (const p of planned) byId('rows').append(row(p));
}

function row(p) {
  const tr = element('tr');
  const promise = element('td', undefined, { class: 'word' });
  const swatch = element('span', undefined, { class: 'swatch' });
  swatch.style.background = `var(--${promiseColor[p.promise]})`;
  promise.append(swatch, p.promise);
  const number = text => element('td', text, { class: 'number' });
  tr.append(number(bytes(p.process_bytes)), number(bytes(p.arena_bytes)),
      number(seconds(p.predicted_step_seconds)), number(p.slowdown.toFixed(2) + 'x'), promise,
      element('td', p.techniques.join(', ') + (p === fits ? ' \u25c0 fits the budget' : '')));
  return tr;
}

fillPage();
redrawWith(draw);
