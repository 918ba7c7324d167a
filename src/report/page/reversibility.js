// The backward pass to the right, the ratio upwards.
const { tensors, options } = data;
const kLeft = 56, kRight = 16, kTop = 16, kBottom = 40, kHeight = 420;

const db = value => typeof value === 'number' ? value.toFixed(1) + ' dB' : value;
const loss = value => typeof value === 'number' ? value.toFixed(1) : '';
const describe = t => `${t.name}\nfrom ${t.layer}${t.inverted ? '' : ', which ran once more'}\n` +
    `measured ${db(t.measured_db)}, theory ${db(t.predicted_db)}`;

function draw() {
  const chart = byId('chart');
  chart.replaceChildren();
  const width = chart.clientWidth || 1000;
  chart.setAttribute('viewBox', `0 0 ${width} ${kHeight}`);
  chart.style.height = kHeight + 'px';
  const known = tensors.flatMap(t => [t.measured_db, t.predicted_db]).filter(v => typeof v === 'number');
  const most = known.reduce((a, b) => Math.max(a, b), 160);
  const least = known.reduce((a, b) => Math.min(a, b), 0);
  const x = i => kLeft + (i + 0.5) / Math.max(1, tensors.length) * (width - kLeft - kRight);
  const place = v => v === 'exact' ? most : v === 'none' ? least : v;
  const y = v => kTop + (most - place(v)) / (most - least) * (kHeight - kTop - kBottom);
  const soft = { fill: 'var(--soft)', 'font-size': 12 };
  for (const v of ticks(least, most, 8)) {
    chart.append(svg('line', { x1: kLeft, x2: width - kRight, y1: y(v), y2: y(v),
      stroke: 'var(--grid)' }));
    chart.append(svg('text', { x: kLeft - 8, y: y(v) + 4, 'text-anchor': 'end', ...soft }, v));
  }
  chart.append(svg('line', { x1: kLeft, x2: width - kRight, y1: y(data.usable_db),
    y2: y(data.usable_db), stroke: 'var(--budget)', 'stroke-dasharray': '6 4' }));
  chart.append(svg('text', { x: width - kRight, y: y(data.usable_db) - 5, 'text-anchor': 'end',
    fill: 'var(--budget)', 'font-size': 12 }, 'below: noise'));
  const path = tensors.map((t, i) => `${i ? 'L' : 'M'} ${x(i)} ${y(t.predicted_db)}`).join(' ');
  if (path) {
    chart.append(svg('path', { d: path, fill: 'none', stroke: 'var(--saved)', 'stroke-width': 1.5,
      class: 'theory' }));
  }
  tensors.forEach((t, i) => {
    const dot = svg('circle', { cx: x(i), cy: y(t.measured_db), r: 4, class: 'measured',
      fill: t.inverted ? 'var(--weights)' : 'var(--temporaries)' });
    hover(dot, describe(t));
    chart.append(dot);
  });
  chart.append(svg('text', { x: width - kRight, y: kHeight - 8, 'text-anchor': 'end', ...soft },
      'from the loss (left) to the input (right); dB'));
}

byId('title').textContent = `What ${options.model} has again`;
byId('settings').textContent = [`batch ${options.batch}`, options.input, `norm ${options.norm}`,
  `width ${options.width}`].filter(s => s).join(', ');
figure('noisiest map', db(data.least_measured_db), 'measured');
figure('before training', db(data.predicted_before_db), 'predicted without the weights');
figure('gradients', db(data.gradient_db), 'of all weights, beside those of kept maps');
if (data.kept_anchors > 0) figure('anchors', String(data.kept_anchors), 'maps kept for --min-snr');
for (const [name, text] of [['weights', 'measured, from an inverse'],
  ['temporaries', 'measured, run once more'], ['saved', 'theory, of the weights as they are']]) {
  const item = element('span');
  item.append(element('i', '', { style: `background: var(--${name})` }), text);
  byId('legend').append(item);
}
for (const t of tensors) {
  const row = element('tr');
  row.append(element('td', t.name), element('td', t.layer + (t.inverted ? '' : ' run again')));
  for (const text of [db(t.measured_db), db(t.predicted_db), loss(t.loss_db),
    loss(t.predicted_loss_db)]) {
    row.append(element('td', text, { class: 'number' }));
  }
  byId('rows').append(row);
}
redrawWith(draw);
