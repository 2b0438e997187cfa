// The document: unpacked, and its tables made easy to ask.
(() => {
  const report = globalThis.report;

  /** The document behind base64 of gzip of JSON. */
  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  /** Sums up differences; null stays null. */
  function sums(differences, scale) {
    let last = 0;
    return differences.map((value) => {
      if (value === null) return null;
      last += value;
      return last * scale;
    });
  }

  /** A curve as `render.coded` has written it: seconds, updates and metric of its evaluations. */
  function curve(coded) {
    return coded && { time: sums(coded.t, 0.1), step: sums(coded.s, 1), metric: coded.m };
  }

  /** Rows instead of columns. */
  function rows(columns) {
    const names = Object.keys(columns);
    return columns.submission.map((_, place) => {
      const row = { place };
      for (const name of names) row[name] = columns[name][place];
      return row;
    });
  }

  /** All that views ask of a document. */
  function index(document) {
    const trials = rows(document.trials);
    const byCell = new Map();
    const byKey = new Map();
    for (const trial of trials) {
      const cell = `${trial.submission}\n${trial.workload}`;
      if (!byCell.has(cell)) byCell.set(cell, []);
      byCell.get(cell).push(trial);
      byKey.set(`${cell}\n${trial.study}\n${trial.trial}`, trial);
    }
    const order = document.submissions.map((one) => one.submission);
    return {
      document,
      trials,
      order,
      workloads: document.settings.workloads,
      columns: Object.keys(document.workloads),
      entries: new Map(document.submissions.map((one) => [one.submission, one])),
      trialsOf: (entry, workload) => byCell.get(`${entry}\n${workload}`) ?? [],
      trialAt: (entry, workload, study, trial) => byKey.get(`${entry}\n${workload}\n${study}\n${trial}`),
      curveOf: (trial) => curve(document.curves[trial.place]),
      nameOf: (entry) => {
        const shown = document.submissions.find((one) => one.submission === entry)?.display_name;
        return shown ? `${shown} (${entry})` : entry;
      },
    };
  }

  Object.assign(report, { unpack, curve, index });
})();
