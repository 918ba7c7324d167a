// A bar for each configuration; its parts have the shares that the plan has at its peak step.
const { steps, categories, stack } = data;
const parts = ['fixed', ...categories];
const colorOf = part => part === 'fixed' ? 'soft' : part;
const measuredSteps = steps.filter(s => s.peak_rss_bytes);
const most = measuredSteps.reduce((a, s) => Math.max(a, s.peak_rss_bytes), 1);
const least = measuredSteps.reduce((a, s) => Math.min(a, s.peak_rss_bytes), most);
const before = steps.length > 0 && (steps[0].source_bytes || steps[0].peak_rss_bytes);

function length(n) {
  if (!byId('ratio').checked) return n / most;
  const floor = Math.log(least / 2);
  return (Math.log(n) - floor) / (Math.log(most) - floor);
}

const partBytes = (step, part) => part === 'fixed' ? step.fixed_bytes : step.by_category[part];

function draw() {
  const bars = byId('bars');
  bars.replaceChildren();
  for (const step of steps) {
    bars.append(element('strong', step.name + ' ' + step.title));
    const track = element('div', undefined, { class: 'track' });
    if (step.peak_rss_bytes) {
      const whole = parts.reduce((sum, p) => sum + partBytes(step, p), 0);
      for (const part of parts) {
        const share = 100 * length(step.peak_rss_bytes) * partBytes(step, part) / whole;
        const piece = element('span');
        piece.style.width = share + '%';
        piece.style.background = `var(--${colorOf(part)})`;
        const text = `${step.name}: ${part} ${bytes(partBytes(step, part))}`;
        piece.addEventListener('pointermove', e => showTip(text, e.clientX, e.clientY));
        piece.addEventListener('pointerleave', () => showTip(''));
        track.append(piece);
      }
    }
    bars.append(track);
    const less = before && step.peak_rss_bytes
        ? `, ${(before / step.peak_rss_bytes).toPrecision(3)}x less` : '';
    bars.append(element('span', step.peak_rss_bytes ? bytes(step.peak_rss_bytes) + less
        : step.problem));
  }
}

byId('title').textContent = stack;
for (const part of parts) {
  const key = element('span', part + '  ');
  const dot = element('span', '\u25a0 ');
  dot.style.color = `var(--${colorOf(part)})`;
  byId('legend').append(dot, key);
}
if (measuredSteps.length > 0) {
  const last = measuredSteps[measuredSteps.length - 1];
  figure('first', bytes(before), steps[0].name + ' ' + steps[0].title);
  figure('last', bytes(last.peak_rss_bytes), last.name + ' ' + last.title);
  figure('less', (before / last.peak_rss_bytes).toPrecision(3) + 'x', 'first over last');
}
const number = value => element('td', value, { class: 'number' });
const count = n => n ? n.toLocaleString('en') : '-';
for (const s of steps) {
  const row = element('tr');
  row.append(element('td', s.name), element('td', s.title),
      number(s.budget_bytes ? bytes(s.budget_bytes) : '-'),
      number(s.process_bytes ? bytes(s.process_bytes) : '-'),
      number(s.peak_rss_bytes ? bytes(s.peak_rss_bytes) : '-'),
      number(s.seconds_per_image ? seconds(s.seconds_per_image) : '-'), number(count(s.parameters)),
      number(count(s.active_parameters)),
      number(s.accuracy === null ? '-' : s.accuracy.toFixed(4)), element('td', s.promise),
      element('td', s.problem || s.settings));
  byId('rows').append(row);
}
byId('ratio').addEventListener('change', draw);
draw();
