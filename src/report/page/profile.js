// A bar for each block: what is kept, and on it what one layer takes for a moment.
const { blocks, all_blocks: all, options } = data;
const kLeft = 56, kRight = 16, kTop = 16, kBottom = 56, kHeight = 340;

const mb = n => (n / 1e6).toFixed(3) + ' MB';
const ways = {
  paper: { temporary: b => b.temporary_bytes, cumulative: b => b.cumulative_bytes,
    peak: b => b.peak_bytes },
  plan: { temporary: b => b.planned_temporary_bytes, cumulative: b => b.planned_cumulative_bytes,
    peak: b => b.planned_peak_bytes },
};

function drawWay(id) {
  const way = ways[id];
  const chart = byId(id);
  chart.replaceChildren();
  const width = chart.clientWidth || 1000;
  chart.setAttribute('viewBox', `0 0 ${width} ${kHeight}`);
  chart.style.height = kHeight + 'px';
  const most = blocks.reduce((m, b) => Math.max(m, way.temporary(b) + way.cumulative(b)), 1);
  const step = (width - kLeft - kRight) / blocks.length;
  const y = v => kTop + (1 - v / most) * (kHeight - kTop - kBottom);
  const soft = { fill: 'var(--soft)', 'font-size': 12 };
  for (const v of ticks(0, most, 6)) {
    chart.append(svg('line', { x1: kLeft, x2: width - kRight, y1: y(v), y2: y(v),
      stroke: 'var(--grid)' }));
    chart.append(svg('text', { x: kLeft - 8, y: y(v) + 4, 'text-anchor': 'end', ...soft },
        `${+(v / 1e6).toPrecision(4)} MB`));
  }
  blocks.forEach((b, i) => {
    const x = kLeft + i * step + step * 0.15;
    const bar = svg('g', { class: 'block', tabindex: 0 });
    const part = (from, to, colour) => bar.append(svg('rect', { x, width: step * 0.7, y: y(to),
      height: Math.max(0, y(from) - y(to)), fill: `var(--${colour})` }));
    part(0, way.cumulative(b), 'saved');
    part(way.cumulative(b), way.cumulative(b) + way.temporary(b), 'temporaries');
    bar.append(svg('line', { x1: x - 3, x2: x + step * 0.7 + 3, y1: y(way.peak(b)),
      y2: y(way.peak(b)), stroke: 'var(--ink)', 'stroke-width': 2 }));
    hover(bar, `${b.name}\ntemporary ${mb(way.temporary(b))}\ncumulative ` +
        `${mb(way.cumulative(b))}\npeak ${mb(way.peak(b))}` +
        (id === 'paper' && b.sensitive ? '\nsensitive' : ''));
    chart.append(bar);
    const middle = x + step * 0.35;
    const bottom = kHeight - kBottom + 14;
    chart.append(svg('text', { x: middle, y: bottom, 'text-anchor': 'end', fill: 'var(--soft)',
      'font-size': 11, transform: `rotate(-40 ${middle} ${bottom})` },
        b.name.length > 12 ? '…' + b.name.slice(-11) : b.name));
  });
  const kept = y(way.cumulative(all));
  chart.append(svg('line', { x1: kLeft, x2: width - kRight, y1: kept, y2: kept,
    stroke: 'var(--budget)', 'stroke-dasharray': '6 4' }));
  chart.append(svg('text', { x: width - kRight, y: kept - 5, 'text-anchor': 'end',
    fill: 'var(--budget)', 'font-size': 12 }, `all that is kept: ${mb(way.cumulative(all))}`));
}

byId('title').textContent = `Activation memory of ${options.model}`;
byId('settings').textContent = [`batch ${options.batch}`, options.input, `norm ${options.norm}`,
  `trained: ${options.train}`, options.side === 'none' ? '' : `beside it: ${options.side}`]
    .filter(s => s).join(', ');
byId('plan-title').textContent = `In thimble's plan: ${data.planned_examples} ` +
    (data.planned_examples === 1 ? 'example' : 'examples') + ', forward and backward';
figure('peak', mb(all.peak_bytes), 'of one example, as the paper counts');
figure('kept', mb(all.cumulative_bytes), 'of one example, as the paper counts');
figure('in all', mb(data.paper_total_bytes), 'batch and weights, as the paper counts');
figure('peak in the arena', mb(all.planned_peak_bytes), 'of the plan, weights aside');
for (const legend of document.querySelectorAll('.legend')) {
  for (const [name, text] of [['saved', 'cumulative: kept for the backward pass'],
    ['temporaries', 'temporary: of one layer'], ['ink', 'peak: the largest sum at one time']]) {
    const item = element('span');
    item.append(element('i', '', { class: 'swatch', style: `background: var(--${name})` }), text);
    legend.append(item);
  }
}
for (const b of [...blocks, all]) {
  const row = element('tr');
  row.append(element('td', b.name));
  for (const id of ['paper', 'plan']) {
    for (const what of ['temporary', 'cumulative', 'peak']) {
      row.append(element('td', (ways[id][what](b) / 1e6).toFixed(3), { class: 'number' }));
    }
  }
  row.append(element('td', b.sensitive ? 'sensitive' : ''));
  byId('rows').append(row);
}
redrawWith(() => {
  drawWay('paper');
  drawWay('plan');
});
