// The confusion matrix, and a line for each class.
const rows = data.confusion === null ? null
    : data.confusion.split(';').map(row => row.split(',').map(Number));
const names = data.classes.map(c => c.name);
const percent = share => share === null ? '-' : (100 * share).toFixed(1) + '%';
const share = (part, whole) => whole > 0 ? part / whole : null;

function matrix() {
  const canvas = byId('matrix');
  canvas.replaceChildren();
  const n = names.length;
  const wide = canvas.parentElement.clientWidth || 900;
  const letters = Math.min(24, names.reduce((a, name) => Math.max(a, name.length), 1));
  const margin = 7.5 * letters + 16;
  const cell = Math.max(3, Math.min(56, (wide - margin - 32) / n));
  const named = cell >= 14;
  const left = named ? margin : 8;
  const top = left;
  canvas.setAttribute('width', left + n * cell + 8);
  canvas.setAttribute('height', top + n * cell + 8);
  rows.forEach((row, i) => {
    const all = row.reduce((a, b) => a + b, 0);
    row.forEach((count, k) => {
      const part = share(count, all);
      const rect = svg('rect', {
        x: left + k * cell, y: top + i * cell, width: cell - (cell > 6 ? 1 : 0),
        height: cell - (cell > 6 ? 1 : 0), fill: `var(--${i === k ? 'good' : 'bad'})`,
        'fill-opacity': count === 0 ? 0.04 : 0.12 + 0.88 * part,
      });
      hover(rect, `${names[i]}\n${i === k ? 'right' : 'taken for ' + names[k]}: ` +
          `${count} of ${all} (${percent(part)})`);
      canvas.append(rect);
      if (cell < 26 || count === 0) return;
      canvas.append(svg('text', {
        x: left + (k + 0.5) * cell, y: top + (i + 0.5) * cell + 4, 'text-anchor': 'middle',
        'font-size': 12, 'pointer-events': 'none', fill: part > 0.5 ? 'var(--card)' : 'var(--ink)',
      }, String(count)));
    });
  });
  if (!named) return;
  names.forEach((name, i) => {
    const short = name.length > letters ? name.slice(0, letters - 1) + '\u2026' : name;
    const at = (i + 0.5) * cell;
    canvas.append(svg('text', { x: left - 8, y: top + at + 4, 'text-anchor': 'end',
      'font-size': 12, fill: 'var(--ink)' }, short));
    const x = left + at + 4, y = top - 8;
    canvas.append(svg('text', { x, y, transform: `rotate(-90 ${x} ${y})`, 'font-size': 12,
      fill: 'var(--ink)' }, short));
  });
}

function line(kind, cells) {
  const row = element('tr');
  cells.forEach((cell, i) => row.append(element(kind, cell, i > 0 ? { class: 'number' } : {})));
  return row;
}

byId('title').textContent = data.weights_file;
byId('settings').textContent = `${data.examples} examples of the test split`;
figure('accuracy', percent(data.accuracy));
figure('loss', data.loss === null ? '-' : data.loss.toFixed(4));
figure('classes', String(names.length));
byId('head').append(line('th', ['class', 'examples', 'right', 'accuracy', 'precision']));
for (const c of data.classes) {
  byId('classes').append(line('td', [c.name, String(c.examples), String(c.correct),
    percent(c.accuracy), percent(share(c.correct, c.answers))]));
}
if (rows === null) {
  byId('matrix-card').hidden = true;
} else {
  redrawWith(matrix);
}
