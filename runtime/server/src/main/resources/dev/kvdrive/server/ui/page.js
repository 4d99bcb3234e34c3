'use strict';

/* The page is told everything by one stream of snapshots, ui/events; rates are differences of two of them. */
(() => {
  const HISTORY_MILLIS = 60_000;
  const RATE_MILLIS = 2_000;
  const MOST_STEPS = 60;
  const SILENCE_MILLIS = 8_000;
  const RETRY_MILLIS = [1_000, 2_000, 5_000];
  const STAGES = {
    project: 'norms and projections',
    append: 'append to the ring, close chunks',
    select: 'score all chunks, choose',
    fetch: 'look up, fetch misses',
    estimate: 'estimate the rest',
    attend: 'attend',
    mlp: 'output projection, MLP',
    prefetch: 'prefetch for the next layer',
    logits: 'logits, to the host',
  };
  const STATES = {
    waiting: ['waits', 'warn'],
    reading: ['reads its prompt', ''],
    decoding: ['answers', 'good'],
    stalled: ['stalls', 'warn'],
    ended: ['ended', 'good'],
    cancelled: ['cancelled', ''],
    failed: ['failed', 'bad'],
  };
  const TIERS = {
    gpu: { name: 'GPU memory', note: 'fast and small', row: 'In the window', rowNote: 'GPU memory' },
    dram: { name: 'DRAM', note: 'pinned frames', row: 'In DRAM', rowNote: 'host memory' },
    nvme: { name: 'NVMe', note: 'extents on a drive', row: 'Only on NVMe', rowNote: 'a drive' },
  };

  const $ = (id) => document.getElementById(id);
  const SVG = 'http://www.w3.org/2000/svg';

  /* ---- words and numbers ---- */

  const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
  const count = (n) => whole.format(n);

  function bytes(n) {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let unit = 0;
    let value = n;
    while (value >= 1024 && unit < units.length - 1) {
      value /= 1024;
      unit++;
    }
    return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
  }

  const rate = (n) => (n >= 100 ? count(n) : n.toFixed(n >= 10 ? 1 : 2));
  const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 2 : 1)} %`;
  const millis = (nanos) => (nanos / 1e6).toFixed(nanos < 1e6 ? 3 : 2);

  /* ---- elements ---- */

  function set(node, attributes) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name === 'text') {
        if (node.textContent !== value) {
          node.textContent = value;
        }
      } else if (value === null || value === undefined || value === false) {
        node.removeAttribute(name);
      } else {
        const said = String(value);
        if (node.getAttribute(name) !== said) {
          node.setAttribute(name, said);
        }
      }
    }
    return node;
  }

  function el(tag, attributes = {}, ...children) {
    const node = set(document.createElement(tag), attributes);
    node.append(...children);
    return node;
  }

  function svg(tag, attributes = {}, ...children) {
    const node = set(document.createElementNS(SVG, tag), attributes);
    node.append(...children);
    return node;
  }

  /* Keeps the children of a node in step with a list: made once, then changed. */
  function keep(parent, list, keyOf, make, update) {
    const known = parent.kept ?? (parent.kept = new Map());
    const seen = new Set();
    let at = parent.firstElementChild;
    list.forEach((item, index) => {
      const key = keyOf(item, index);
      seen.add(key);
      let node = known.get(key);
      if (!node) {
        node = make(item, index);
        known.set(key, node);
      }
      if (node === at) {
        at = at.nextElementSibling;
      } else {
        parent.insertBefore(node, at);
      }
      update(node, item, index);
    });
    for (const [key, node] of known) {
      if (!seen.has(key)) {
        node.remove();
        known.delete(key);
      }
    }
  }

  /* ---- what was before ---- */

  let history = [];
  let steps = [];
  let last = null;

  function remember(snapshot) {
    const engine = snapshot.engine;
    if (!engine) {
      history = [];
      steps = [];
      reads = null;
      return;
    }
    const t = engine.totals;
    const before = history.at(-1);
    if (before && t.steps < before.steps) {
      history = []; // another process
      steps = [];
      reads = null;
    }
    const entry = {
      at: snapshot.at_millis,
      answered: t.completion_tokens,
      read: promptTokensRead(engine),
      steps: t.steps,
      hits: t.window_hits,
      dram: t.missed_chunks.dram,
      nvme: t.missed_chunks.nvme,
      fetchedDram: t.fetched_bytes.dram,
      fetchedNvme: t.fetched_bytes.nvme,
      written: t.nvme_written_bytes,
      promoted: t.promotions * engine.plan.extent_bytes,
      demoted: t.demotions * engine.plan.extent_bytes,
    };
    history.push(entry);
    while (history.length > 1 && history[0].at < entry.at - HISTORY_MILLIS) {
      history.shift();
    }
    let from = history[0];
    for (let i = history.length - 1; i >= 0 && from !== entry; i--) {
      if (history[i].at <= entry.at - RATE_MILLIS) {
        from = history[i];
        break;
      }
    }
    const seconds = (entry.at - from.at) / 1000;
    const per = (name) => (seconds > 0 ? Math.max(0, entry[name] - from[name]) / seconds : 0);
    const change = (name) => entry[name] - from[name];
    const selected = change('hits') + change('dram') + change('nvme');
    const tokens = change('answered');
    entry.now = {
      answered: per('answered'),
      read: per('read'),
      hitRate: selected > 0 ? change('hits') / selected : null,
      fetchedPerToken: tokens > 0 ? (change('fetchedDram') + change('fetchedNvme')) / tokens : null,
      fromDram: per('fetchedDram'),
      fromNvme: per('fetchedNvme'),
      written: per('written'),
      promoted: per('promoted'),
      demoted: per('demoted'),
    };
    const step = engine.step;
    if (step && step.number !== steps.at(-1)?.number) {
      steps.push(step);
      steps = steps.slice(-MOST_STEPS);
    }
  }

  /* The total counts a prompt once all of it is read; this grows with each piece, since the page watches. */
  let reads = null;
  let readSoFar = 0;

  function promptTokensRead(engine) {
    const now = new Map([...engine.sequences, ...engine.ended]
      .map((s) => [s.number, s.prompt_read * s.usage.prompt_tokens]));
    for (const [number, tokens] of reads ? now : []) {
      readSoFar += Math.max(0, tokens - (reads.get(number) ?? 0));
    }
    reads = now;
    return readSoFar;
  }

  /* ---- the page ---- */

  function render(snapshot) {
    last = snapshot;
    const engine = snapshot.engine;
    const kind = { ready: 'good', starting: '', degraded: 'warn', draining: 'warn', failed: 'bad' }[snapshot.state] ?? '';
    set($('state'), { text: snapshot.state, class: `pill ${kind}` });
    if (!engine) {
      notice(snapshot.detail);
      return;
    }
    notice(snapshot.state === 'ready' ? null : snapshot.detail);
    $('content').hidden = false;
    set($('model'), { text: `${engine.plan.model} on ${engine.plan.device}` });
    const numbers = new Map(seated(engine).map((s, i) => [s.number, i + 1]));
    renderTiers(engine, numbers);
    renderSequences(engine, numbers);
    renderFigures(engine);
    renderSteps();
    renderAccuracy(engine.accuracy);
    renderEnded(engine);
    renderPlan(engine);
  }

  const seated = (engine) => engine.sequences.filter((s) => s.state !== 'waiting');

  function notice(text) {
    $('notice').hidden = !text;
    set($('notice'), { text: text ?? '' });
  }

  /* ---- tiers ---- */

  const held = {
    gpu: (s) => s.held.fixed_bytes + s.held.resident_bytes,
    dram: (s) => s.held.dram_bytes,
    nvme: (s) => s.held.nvme_bytes,
  };

  /* What the plan sets aside in GPU memory for each seat, taken or not. */
  const FOR_SEATS = ['index', 'estimate', 'sink and ring', 'window'];

  function setAside(tier, plan, taken) {
    return tier.name === 'gpu'
      ? Math.max(0, plan.demands
        .filter((d) => d.tier === 'GPU' && FOR_SEATS.includes(d.item))
        .reduce((sum, d) => sum + d.bytes, 0) - taken)
      : 0;
  }

  function renderTiers(engine, numbers) {
    const rows = engine.tiers.filter((t) => t.capacity_bytes > 0);
    const parts = rows.flatMap((tier, i) => (i === 0 ? [{ tier }] : [{ flow: tier.name }, { tier }]));
    keep($('tiers'), parts, (p) => (p.flow ? `flow-${p.flow}` : p.tier.name),
      (p) => (p.flow ? flowRow() : tierRow(p.tier)),
      (node, p) => (p.flow ? updateFlow(node, p.flow, engine) : updateTier(node, p.tier, engine, numbers)));
  }

  function tierRow(tier) {
    const { name, note } = TIERS[tier.name];
    const row = el('div', { class: `tier ${tier.name}` },
      el('h3', {}, name, el('small', { text: note })),
      el('div', { class: 'bar', role: 'img' }),
      el('p', { class: 'sum' }, el('span', { class: 'used' }), el('small')));
    row.dataset.tier = tier.name;
    return row;
  }

  function updateTier(row, tier, engine, numbers) {
    const own = seated(engine)
      .map((s) => ({ number: numbers.get(s.number), size: held[tier.name](s) }))
      .filter((s) => s.size > 0);
    const kv = own.reduce((sum, s) => sum + s.size, 0);
    const empty = setAside(tier, engine.plan, kv);
    const kept = Math.min(tier.kept_bytes, Math.max(0, tier.used_bytes - kv - empty));
    const other = Math.max(0, tier.used_bytes - kv - kept - empty);
    const bar = row.querySelector('.bar');
    const pieces = [...own.map((s) => ({ key: s.number, size: s.size, kind: 'kv', text: String(s.number) })),
      { key: 'kept', size: kept, kind: 'kept', text: '' },
      { key: 'empty', size: empty, kind: 'empty', text: '' },
      { key: 'other', size: other, kind: 'other', text: '' }];
    keep(bar, pieces, (p) => p.key, (p) => el('span', { class: p.kind }), (node, p) => {
      node.style.flexBasis = `${(100 * p.size) / tier.capacity_bytes}%`;
      node.hidden = p.size === 0;
      set(node, { text: p.text });
    });
    set(bar, {
      'aria-label': `${TIERS[tier.name].name}: ${bytes(tier.used_bytes)} of ${bytes(tier.capacity_bytes)} in use, `
        + `${bytes(kv)} of it by ${own.length} sequences${kept > 0 ? `, ${bytes(kept)} kept of prompts` : ''}`,
    });
    set(row.querySelector('.used'), { text: `${bytes(tier.used_bytes)} of ${bytes(tier.capacity_bytes)}` });
    set(row.querySelector('.sum small'), { text: `${bytes(kv)} by sequences${kept > 0 ? `, ${bytes(kept)} kept` : ''}` });
  }

  function flowRow() {
    const item = (kind) => el('span', { class: `moves ${kind}` }, el('b'), el('span'));
    return el('p', { class: 'flow' }, item('up'), item('down'));
  }

  function updateFlow(node, below, engine) {
    const now = history.at(-1).now;
    const [up, down] = node.querySelectorAll('.moves');
    const say = (span, tier, value, text) => {
      set(span, { class: `moves ${tier}` });
      set(span.firstChild, { text: `${bytes(value)}/s` });
      set(span.lastChild, { text: ` ${text}` });
    };
    if (below === 'dram') {
      say(up, 'dram', now.fromDram, '▲ fetched from DRAM into the window');
      say(down, 'nvme', now.fromNvme, '▲ fetched from NVMe into the window');
    } else {
      say(up, 'nvme', now.promoted, '▲ promoted to DRAM');
      say(down, 'dram', now.demoted, `▼ demoted to NVMe, ${bytes(now.written)}/s written`);
    }
  }

  /* ---- sequences ---- */

  function renderSequences(engine, numbers) {
    const { running, waiting, limit } = engine.queue;
    set($('queue'), {
      text: `${running} of ${engine.plan.concurrency} ${engine.plan.concurrency === 1 ? 'seat' : 'seats'} taken, `
        + `${waiting} of ${limit} places in the queue`,
    });
    keep($('sequences'), engine.sequences, (s) => s.number, sequenceCard, (card, s) => updateCard(card, s, numbers.get(s.number), engine.plan));
    $('unseen').hidden = engine.unseen === 0;
    set($('unseen'), { text: `and ${count(engine.unseen)} more` });
    $('idle').hidden = engine.sequences.length > 0;
    set($('curl'), {
      text: `curl ${location.origin}/v1/chat/completions -H 'Content-Type: application/json' \\\n`
        + (key === null ? '' : '  -H "Authorization: Bearer $KVDRIVE_API_KEY" \\\n')
        + `  -d '{"model": "${engine.plan.model}", "messages": [{"role": "user", "content": "..."}]}'`,
    });
  }

  const FACTS = [
    ['tokens', 'Prompt and answer', (s) => `${count(s.usage.prompt_tokens)} + ${count(s.usage.completion_tokens)}`],
    ['attended', 'Attended a step', (s, k) => (k.context_tokens ? percent(k.attended_tokens / k.context_tokens) : '–')],
    ['hits', 'Window hits', (s, k) => (chosen(k) ? percent(k.window_hit_rate) : '–')],
    ['dram', 'Misses from DRAM', (s, k) => count(k.missed_chunks.dram)],
    ['nvme', 'Misses from NVMe', (s, k) => count(k.missed_chunks.nvme)],
    ['fetched', 'Fetched a token', (s, k) => perToken(s)],
    ['written', 'Written to NVMe', (s, k) => bytes(k.nvme_written_bytes)],
    ['missed', 'Mass missed', (s, k) => (k.accuracy ? percent(k.accuracy.mass_missed) : '–')],
    ['stalls', 'Stalls', (s) => (s.stalls ? `${count(s.stalls)}, ${s.stalled_seconds.toFixed(1)} s` : '0')],
  ];

  const chosen = (k) => k.window_hits + k.missed_chunks.dram + k.missed_chunks.nvme;

  function perToken(s) {
    const { completion_tokens: tokens, kvdrive } = s.usage;
    return tokens ? bytes((kvdrive.fetched_bytes.dram + kvdrive.fetched_bytes.nvme) / tokens) : '–';
  }

  function sequenceCard(s) {
    const rows = Object.entries(TIERS).map(([tier, words]) => el('div', { class: `lane ${tier}` },
      el('p', { class: 'where' }, words.row, el('small', { text: words.rowNote })),
      svg('svg', { role: 'img', preserveAspectRatio: 'none', 'data-map': tier }),
      el('p', { class: 'bytes', 'data-bytes': tier }, el('span'), el('small'))));
    const facts = FACTS.map(([name, label]) =>
      el('div', { 'data-fact': name }, el('dt', { text: label }), el('dd', { text: '–' })));
    const card = el('li', { class: 'sequence card' },
      el('div', { class: 'title' },
        el('span', { class: 'badge' }), el('h3', { class: 'pill state' }), el('span', { class: 'id', text: s.id }),
        el('span', { class: 'tokens' })),
      el('p', { class: 'reason' }),
      el('progress', { max: 1, 'aria-label': 'Prompt read' }),
      el('div', { class: 'map' }, ...rows,
        el('p', { class: 'axis' }, el('span', { text: 'first token' }), el('span', { class: 'end' }))),
      el('dl', { class: 'facts' }, ...facts));
    card.dataset.id = s.id;
    return card;
  }

  function updateCard(card, s, number, plan) {
    const find = (selector) => card.querySelector(selector);
    const [word, kind] = STATES[s.state] ?? [s.state, ''];
    const reading = s.state === 'reading' || (s.prompt_read < 1 && s.state === 'stalled');
    set(find('.badge'), { text: number ? String(number) : '…' });
    set(find('.state'), { class: `pill state ${kind}`, text: word });
    set(find('.tokens'), {
      text: s.state === 'waiting'
        ? `${count(s.usage.prompt_tokens)} prompt tokens`
        : reading
          ? `${count(s.prompt_read * s.usage.prompt_tokens)} of ${count(s.usage.prompt_tokens)} prompt tokens read`
          : `${count(s.usage.prompt_tokens + s.usage.completion_tokens)} tokens`,
    });
    find('.reason').hidden = !s.waits_for;
    set(find('.reason'), { text: s.waits_for ? `Waits for ${s.waits_for}.` : '' });
    find('progress').hidden = !reading;
    find('progress').value = s.prompt_read;
    const waits = s.state === 'waiting';
    find('.map').hidden = waits;
    find('.facts').hidden = waits || reading;
    if (waits) {
      return;
    }
    const places = s.held.places;
    const texts = {
      gpu: [bytes(s.held.resident_bytes), `of ${bytes(s.held.window_bytes)}; index ${bytes(s.held.fixed_bytes)}`],
      dram: [bytes(s.held.dram_bytes), s.held.copied_bytes ? `${bytes(s.held.copied_bytes)} of it on NVMe too` : '\u00a0'],
      nvme: [bytes(s.held.nvme_bytes - s.held.copied_bytes), `${bytes(s.held.nvme_bytes)} with copies`],
    };
    const shares = { gpu: places.window, dram: places.dram, nvme: places.nvme };
    for (const tier of Object.keys(TIERS)) {
      const cell = find(`[data-bytes="${tier}"]`);
      set(cell.firstChild, { text: texts[tier][0] });
      set(cell.lastChild, { text: texts[tier][1] });
      updateMap(find(`[data-map="${tier}"]`), shares[tier], TIERS[tier].row, tier === 'gpu');
    }
    set(find('.end'), { text: `token ${count(places.tokens)}` });
    const k = s.usage.kvdrive;
    for (const [name, , text] of FACTS) {
      set(find(`[data-fact="${name}"] dd`), { text: text(s, k) });
    }
  }

  /* Height is the share of a piece's chunks: over layers and heads, a piece may be in several tiers. */
  function updateMap(picture, shares, row, fainter) {
    const pieces = Math.max(1, shares.length);
    set(picture, {
      viewBox: `0 0 ${pieces} 1000`,
      'aria-label': `${row}: ${shares.length ? described(shares) : 'nothing yet'}`,
    });
    keep(picture, shares, (share, i) => i, () => svg('rect', { width: 0.9 }), (rect, share, i) => {
      const tall = share === 0 ? 0 : Math.max(share, 40);
      set(rect, { x: i + 0.05, y: 1000 - tall, height: tall });
    });
  }

  function described(shares) {
    const third = Math.ceil(shares.length / 3);
    const mean = (part) => (part.length ? Math.round(part.reduce((a, b) => a + b, 0) / part.length / 10) : 0);
    return `${mean(shares.slice(0, third))} % of the first third of the context, `
      + `${mean(shares.slice(third, 2 * third))} % of the second, ${mean(shares.slice(2 * third))} % of the last`;
  }

  /* ---- figures ---- */

  const FIGURES = [
    ['answered', 'Tokens answered', '', (n) => [rate(n.answered), '/s'], (n) => n.answered],
    ['read', 'Prompt tokens read', '', (n) => [rate(n.read), '/s'], (n) => n.read],
    ['hits', 'Window hits', 'gpu', (n) => (n.hitRate === null ? ['–', ''] : [(100 * n.hitRate).toFixed(1), ' %']), (n) => n.hitRate, 1],
    ['fetched', 'Fetched a token', 'dram', (n) => (n.fetchedPerToken === null ? ['–', ''] : bytes(n.fetchedPerToken).split(' ').map((w, i) => (i ? ` ${w}` : w))), (n) => n.fetchedPerToken],
    ['written', 'Written to NVMe', 'nvme', (n) => bytes(n.written).split(' ').map((w, i) => (i ? ` ${w}/s` : w)), (n) => n.written],
  ];

  function renderFigures(engine) {
    const now = history.at(-1).now;
    keep($('figures'), FIGURES, ([name]) => name,
      ([name, label, tier]) => el('li', { class: `card ${tier}`, 'data-figure': name },
        el('h3', { text: label }),
        el('p', { class: 'value' }, el('span'), el('small')),
        svg('svg', { viewBox: '0 0 100 30', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
          svg('path', { class: 'area' }), svg('path', { class: 'line' })),
        el('p', { class: 'hint' })),
      (node, [name, , , text, series, top]) => {
        const [value, unit] = text(now);
        set(node.querySelector('.value span'), { text: value });
        set(node.querySelector('.value small'), { text: unit });
        spark(node, history.map((h) => [h.at, series(h.now)]), top);
        set(node.querySelector('.hint'), { text: since(engine, name) });
      });
  }

  function since(engine, name) {
    const t = engine.totals;
    const all = t.window_hits + t.missed_chunks.dram + t.missed_chunks.nvme;
    switch (name) {
      case 'answered': return `${count(t.completion_tokens)} in ${count(t.steps)} steps since the start`;
      case 'read': return `${count(t.prompt_tokens)} since the start`;
      case 'hits': return all ? `${percent(t.window_hits / all)} since the start` : 'nothing chosen yet';
      case 'fetched': return t.completion_tokens
        ? `${bytes((t.fetched_bytes.dram + t.fetched_bytes.nvme) / t.completion_tokens)} since the start` : 'nothing fetched yet';
      default: return `${bytes(t.nvme_written_bytes)} since the start`
        + (t.nvme_writes_per_day_bytes ? `, ${bytes(t.nvme_written_day_bytes)} of ${bytes(t.nvme_writes_per_day_bytes)} a day` : '');
    }
  }

  function spark(node, points, top) {
    const end = points.at(-1)[0];
    const highest = top ?? Math.max(1e-9, ...points.map((p) => p[1] ?? 0));
    let line = '';
    let area = '';
    let open = null;
    const close = (x) => {
      if (open !== null) {
        area += `L${x} 30L${open} 30Z`;
        open = null;
      }
    };
    let x = 0;
    for (const [at, value] of points) {
      if (value === null) {
        close(x);
        continue;
      }
      x = (100 * (1 - (end - at) / HISTORY_MILLIS)).toFixed(2);
      const y = (29 - 28 * Math.min(1, value / highest)).toFixed(2);
      const to = `${open === null ? 'M' : 'L'}${x} ${y}`;
      line += to;
      area += to;
      open ??= x;
    }
    close(x);
    set(node.querySelector('.line'), { d: line });
    set(node.querySelector('.area'), { d: area });
  }

  /* ---- steps ---- */

  function renderSteps() {
    if (steps.length === 0) {
      return;
    }
    const names = Object.keys(STAGES).filter((name) => steps.some((s) => s.stage_nanos[name] > 0));
    const parts = [...names, 'host'];
    const of = (step, name) => (name === 'host'
      ? Math.max(0, step.nanos - Object.values(step.stage_nanos).reduce((a, b) => a + b, 0))
      : step.stage_nanos[name]);
    const longest = Math.max(...steps.map((s) => s.nanos));
    const wide = 600 / MOST_STEPS;
    const bars = steps.map((step, i) => {
      let y = 150;
      const x = (600 - (steps.length - i) * wide).toFixed(1);
      return svg('g', {}, ...parts.map((name) => {
        const tall = (140 * of(step, name)) / longest;
        y -= tall;
        return svg('rect', { class: `s-${name === 'host' ? 'logits' : name}`, x, y: y.toFixed(2), width: (wide - 1.5).toFixed(1), height: tall.toFixed(2) });
      }));
    });
    const middle = [...steps].sort((a, b) => a.nanos - b.nanos)[steps.length >> 1];
    const picture = svg('svg', {
      viewBox: '0 0 600 172',
      preserveAspectRatio: 'xMidYMid meet',
      role: 'img',
      'aria-label': `${steps.length} timed steps, the median takes ${millis(middle.nanos)} ms; the table has the stages`,
    },
    svg('line', { x1: 0, x2: 600, y1: 150, y2: 150 }),
    svg('line', { x1: 0, x2: 600, y1: 10, y2: 10 }),
    ...bars,
    svg('text', { x: 0, y: 22 }, `${millis(longest)} ms`),
    svg('text', { x: 600, y: 168, 'text-anchor': 'end' }, `step ${count(steps.at(-1).number)}`));
    $('step-chart').replaceChildren(picture);
    const all = steps.reduce((sum, s) => sum + s.nanos, 0);
    const latest = steps.at(-1);
    set($('step-hint'), {
      text: `${latest.sequences} ${latest.sequences === 1 ? 'sequence' : 'sequences'}; ${count(latest.hits)} hits, `
        + `${count(latest.dram_misses)} misses from DRAM, ${count(latest.nvme_misses)} from NVMe in the last one`,
    });
    table($('step-table'), ['Stage', 'What', 'Last, ms', 'Of all'], parts, (name) => name, (name) => [
      el('span', {}, el('i', { class: `key s-${name === 'host' ? 'logits' : name}` }), name),
      name === 'host' ? 'parameters, what is late, the scheduler' : STAGES[name],
      millis(of(latest, name)),
      percent(steps.reduce((sum, s) => sum + of(s, name), 0) / all),
    ], 2);
  }

  /* A table whose cells are changed in place; columns from `numbers` on are numbers. */
  function table(parent, heads, rows, keyOf, cells, numbers) {
    let body = parent.querySelector('tbody');
    if (!body) {
      body = el('tbody');
      parent.replaceChildren(el('table', {},
        el('thead', {}, el('tr', {}, ...heads.map((h, i) => el('th', { scope: 'col', class: i >= numbers ? 'n' : null, text: h })))),
        body));
    }
    rowsOf(body, rows, keyOf, cells, (i) => i >= numbers);
  }

  function rowsOf(body, rows, keyOf, cells, isNumber) {
    keep(body, rows, keyOf,
      (row) => el('tr', {}, ...cells(row).map((cell, i) =>
        el(i === 0 ? 'th' : 'td', { class: isNumber(i) ? 'n' : null, scope: i === 0 ? 'row' : null }, cell))),
      (node, row) => cells(row).forEach((cell, i) => {
        if (typeof cell === 'string') {
          set(node.children[i], { text: cell });
        }
      }));
  }

  /* ---- accuracy ---- */

  function renderAccuracy(accuracy) {
    const figure = document.querySelector('input[name="figure"]:checked').value;
    const values = accuracy[figure];
    const layers = values.length;
    const heads = values[0].length;
    let samples = 0;
    let sum = 0;
    let worst = 0;
    accuracy.samples.forEach((row, l) => row.forEach((n, h) => {
      samples += n;
      sum += n * values[l][h];
      worst = n > 0 ? Math.max(worst, values[l][h]) : worst;
    }));
    set($('accuracy-sum'), {
      text: samples
        ? `${percent(sum / samples)} on average, ${percent(worst)} where it is most, in ${count(samples)} samples`
        : 'Nothing measured yet: now and then a step is compared with attention to everything.',
    });
    const size = Math.max(14, Math.min(44, Math.floor(520 / layers)));
    const tall = Math.max(12, Math.min(36, Math.floor(220 / heads)));
    const left = 48;
    let picture = $('heat').firstElementChild;
    if (!picture || picture.getAttribute('data-shape') !== `${layers}x${heads}`) {
      const wide = left + layers * size;
      const high = heads * tall + 34;
      picture = svg('svg', { 'data-shape': `${layers}x${heads}`, role: 'img', width: wide, height: high, viewBox: `0 0 ${wide} ${high}` });
      for (let h = 0; h < heads; h++) {
        for (let l = 0; l < layers; l++) {
          picture.append(svg('rect', { x: left + l * size, y: h * tall, width: size, height: tall, rx: 3 }, svg('title')));
        }
      }
      const every = Math.ceil(24 / size);
      for (let l = 0; l < layers; l += every) {
        picture.append(svg('text', { x: left + (l + 0.5) * size, y: heads * tall + 14, 'text-anchor': 'middle' }, String(l)));
      }
      picture.append(svg('text', { x: left, y: heads * tall + 30 }, 'layer'));
      for (let h = 0; h < heads; h++) {
        picture.append(svg('text', { x: 0, y: h * tall + tall / 2 + 4 }, `head ${h}`));
      }
      $('heat').replaceChildren(picture);
    }
    set(picture, { 'aria-label': samples ? `${$('accuracy-sum').textContent}; the table has each layer and head` : 'nothing measured yet' });
    const cells = picture.querySelectorAll('rect');
    for (let h = 0; h < heads; h++) {
      for (let l = 0; l < layers; l++) {
        const cell = cells[h * layers + l];
        const measured = accuracy.samples[l][h] > 0;
        set(cell, { class: measured ? null : 'none' });
        cell.style.fill = measured ? `rgb(var(--heat) / ${(0.12 + 0.88 * (worst ? values[l][h] / worst : 0)).toFixed(3)})` : '';
        set(cell.firstChild, {
          text: `layer ${l}, head ${h}: ${measured ? `${percent(values[l][h])} in ${count(accuracy.samples[l][h])} samples` : 'not measured'}`,
        });
      }
    }
    table($('heat-table'), ['Layer', ...Array.from({ length: heads }, (_, h) => `Head ${h}`)], values, (row, l) => l,
      (row) => [String(values.indexOf(row)), ...row.map((v, h) => (accuracy.samples[values.indexOf(row)][h] ? percent(v) : '–'))], 1);
  }

  /* ---- ended, plan ---- */

  function renderEnded(engine) {
    const cells = (s) => {
      const k = s.usage.kvdrive;
      return [
        el('span', { class: 'id', text: s.id }),
        STATES[s.state]?.[0] ?? s.state,
        count(s.usage.prompt_tokens),
        count(s.usage.completion_tokens),
        k.context_tokens ? percent(k.attended_tokens / k.context_tokens) : '–',
        chosen(k) ? percent(k.window_hit_rate) : '–',
        count(k.missed_chunks.dram),
        count(k.missed_chunks.nvme),
        perToken(s),
        bytes(k.nvme_written_bytes),
        k.accuracy ? percent(k.accuracy.mass_missed) : '–',
        count(s.stalls),
        k.decode_seconds > 0 ? rate((s.usage.completion_tokens - 1) / k.decode_seconds) : '–',
      ];
    };
    rowsOf($('ended').tBodies[0], engine.ended, (s) => s.number, cells, (i) => i >= 2);
  }

  function renderPlan(engine) {
    const p = engine.plan;
    const facts = [
      ['Context', `${count(p.context_length)} tokens`],
      ['Sequences at once', count(p.concurrency)],
      ['Attended a step', p.budget],
      ['Whole up to', p.dense_below ? `${count(p.dense_below)} tokens` : 'no length'],
      ['Method', p.policy],
      ['Model', `${p.layers} layers × ${p.kv_heads} KV heads × ${p.head_dim}`],
      ['Chunk', `${p.chunk_tokens} tokens`],
      ['In the window', `${p.resident}, ${bytes(p.resident_bytes)} a chunk`],
      ['Below it', `${p.backing}, ${bytes(p.backing_bytes)} a chunk`],
      ['Extent', bytes(p.extent_bytes)],
      ['Window', `${count(p.window_slots)} slots a head`],
      ['NVMe', engine.tiers.at(-1).capacity_bytes === 0 ? 'none' : (engine.totals.nvme_direct ? 'with O_DIRECT' : 'through the page cache') + (engine.totals.nvme_encryption === 'none' ? '' : ', encrypted with ' + engine.totals.nvme_encryption)],
    ];
    keep($('plan'), facts, ([label]) => label, ([label]) => el('div', {}, el('dt', { text: label }), el('dd')),
      (node, [, text]) => set(node.lastChild, { text }));
    rowsOf($('demands').tBodies[0], p.demands, (d) => `${d.tier} ${d.item}`,
      (d) => [TIERS[d.tier.toLowerCase()].name, d.item, bytes(d.bytes), d.arithmetic], (i) => i === 2);
  }

  /* ---- the stream ---- */

  let key = null;
  let paused = false;
  let current = null;
  let failures = 0;

  async function watch() {
    current?.abort();
    const own = new AbortController();
    current = own;
    try {
      await read(own);
      throw new Error('The server has ended the stream.');
    } catch (problem) {
      if (own !== current || own.signal.aborted && own.signal.reason !== 'silence') {
        return;
      }
      set($('state'), { text: 'not connected', class: 'pill bad' });
      if (problem.needsKey) {
        askForKey(problem.message);
        return;
      }
      const wait = RETRY_MILLIS[Math.min(failures++, RETRY_MILLIS.length - 1)];
      notice(`${problem.said ?? 'The server does not answer.'} Trying again.`);
      setTimeout(() => own === current && watch(), wait);
    }
  }

  async function read(own) {
    const answer = await fetch('ui/events', {
      headers: key === null ? {} : { Authorization: `Bearer ${key}` },
      cache: 'no-store',
      credentials: 'omit',
      signal: own.signal,
    });
    if (!answer.ok) {
      const error = (await answer.json().catch(() => ({}))).error ?? {};
      throw Object.assign(new Error(error.message), { said: error.message, needsKey: answer.status === 401 });
    }
    failures = 0;
    if (!$('key-form').hidden) {
      $('key-form').hidden = true;
      notice(null);
      $('main').focus();
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const silence = setTimeout(() => own.abort('silence'), SILENCE_MILLIS);
      const { value, done } = await reader.read().finally(() => clearTimeout(silence));
      if (done) {
        return;
      }
      text += value;
      const events = text.split('\n\n');
      text = events.pop();
      const event = events.filter((e) => e.startsWith('data: ')).at(-1);
      for (const each of events.filter((e) => e.startsWith('data: '))) {
        const snapshot = JSON.parse(each.slice(6));
        remember(snapshot);
        if (each === event && !paused) {
          render(snapshot);
        }
      }
    }
  }

  function askForKey(message) {
    notice(key === null ? null : message);
    key = null;
    $('content').hidden = true;
    $('key-form').hidden = false;
    $('key').value = '';
    $('key').focus();
  }

  $('key-form').addEventListener('submit', (event) => {
    event.preventDefault();
    key = $('key').value.trim();
    $('key').value = '';
    watch();
  });

  $('pause').addEventListener('click', () => {
    paused = !paused;
    set($('pause'), { 'aria-pressed': paused });
  });

  for (const radio of document.querySelectorAll('input[name="figure"]')) {
    radio.addEventListener('change', () => last?.engine && renderAccuracy(last.engine.accuracy));
  }

  /* Who does not look costs the server nothing. */
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
      current?.abort('hidden');
    } else if ($('key-form').hidden) {
      watch();
    }
  });

  watch();
})();
