// A card for each table: bars of its rows, a colour for each column, then the numbers.
const colors = ['weights', 'saved', 'temporaries', 'optimizer', 'gradients'];
const text = value => value === null ? '-' : typeof value === 'number' ? value.toPrecision(4)
    : value;

function card(table) {
  const section = element('section', undefined, { class: 'card table' });
  section.append(element('h2', table.title), element('p', table.settings, { class: 'hint' }));
  const known = table.rows.flatMap(r => r.values).filter(v => typeof v === 'number');
  const most = known.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-9);
  const rows = element('table');
  const head = element('tr');
  head.append(element('th', ''));
  table.columns.forEach((column, i) => {
    const th = element('th', '', { class: 'number' });
    const dot = element('span', '\u25a0 ');
    dot.style.color = `var(--${colors[i % colors.length]})`;
    th.append(dot, column);
    head.append(th);
  });
  head.append(element('th', ''));
  rows.append(head);
  for (const row of table.rows) {
    const line = element('tr');
    line.append(element('td', row.label));
    const bars = element('td', undefined, { style: 'width: 40%' });
    row.values.forEach((value, i) => {
      line.append(element('td', text(value), { class: 'number' }));
      if (typeof value !== 'number' || value <= 0) return;
      const bar = element('div');
      bar.style.cssText = `height: 4px; margin: 1px 0; width: ${100 * value / most}%; ` +
          `background: var(--${colors[i % colors.length]})`;
      bars.append(bar);
    });
    line.append(bars);
    rows.append(line);
  }
  section.append(rows);
  return section;
}

byId('title').textContent = data.study;
for (const table of data.tables) byId('tables').append(card(table));
