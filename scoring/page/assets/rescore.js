// Scores of a field under other targets, weights, limits, entries and workloads. The same rules as
// scoring/times.py, rules.py and profiles.py, in the same order of operations; tests hold both to the same numbers.
(() => {
  const report = globalThis.report;
  const GRID_POINTS = 100;
  const RELATIVE_ROUNDING = 1e-12;

  /** What is scored if nobody changes anything. */
  function defaults(document) {
    const { settings } = document;
    return {
      axis: settings.axis,
      share: 0,
      rMax: settings.r_max,
      weights: Object.fromEntries(settings.workloads.map((name) => [name, 1])),
      entries: document.submissions.map((one) => one.submission).sort(),
      workloads: [...settings.workloads],
    };
  }

  /** Whether scores differ from those of the document. */
  function isChanged(document, choice) {
    const plain = defaults(document);
    return (
      choice.share !== 0 ||
      choice.rMax !== plain.rMax ||
      choice.entries.length !== plain.entries.length ||
      choice.workloads.length !== plain.workloads.length ||
      choice.workloads.some((name) => choice.weights[name] !== choice.weights[choice.workloads[0]])
    );
  }

  /** A target moved by a share of its distance to the nearer end of its metric's range. */
  function relaxed(workload, share) {
    const step = share * workload.target_range;
    return workload.higher_is_better ? workload.validation_target - step : workload.validation_target + step;
  }

  /** Whether a metric meets a target; null meets every one: see scoring/document/hits.py. */
  function meets(metric, target, workload) {
    if (metric === null) return true;
    return workload.higher_is_better ? metric >= target - workload.slack : metric <= target + workload.slack;
  }

  /** The first evaluation of a study that met a target: [metric, seconds, updates, trial]; undefined if none did. */
  function firstHit(points, target, workload) {
    return points.find((point) => meets(point[0], target, workload));
  }

  /** The middle one; of an even number the mean of the two middle ones; infinity is the largest value. */
  function median(values) {
    if (values.length === 0) return Number.POSITIVE_INFINITY;
    const ordered = [...values].sort((a, b) => (a === b ? 0 : a - b));
    const low = ordered[Math.floor((ordered.length - 1) / 2)];
    const high = ordered[Math.floor(ordered.length / 2)];
    return low === high ? low : (low + high) / 2;
  }

  /** The median of the numbers among some values; null of none. */
  function known(values) {
    const numbers = values.filter((value) => typeof value === "number" && Number.isFinite(value));
    return numbers.length ? median(numbers) : null;
  }

  /** Time of one study on an axis, and whether it is only a least one. */
  function studyTime(field, entry, column, study, target, axis) {
    const hit = firstHit(study.points, target, field.document.workloads[column]);
    if (!hit) return { value: Number.POSITIVE_INFINITY, isBound: false };
    const isBound = hit[0] === null;
    if (axis === "submission_time") return { value: hit[1], isBound };
    if (axis === "steps") return { value: hit[2], isBound };
    return { value: hit[2] * field.trialAt(entry, column, study.study, hit[3]).batch_size, isBound };
  }

  /** Median time of an entry at moved targets, and how many of its studies reached them. */
  function cellTime(field, entry, column, share, axis) {
    const { document } = field;
    if (share === 0) {
      const value = document.axes[axis].submissions[entry].times[column] ?? Number.POSITIVE_INFINITY;
      const cell = document.times[entry][column];
      return { value, reached: cell.num_reached, studies: cell.studies.length, bounds: 0 };
    }
    const studies = document.hits.submissions[entry][column];
    const target = relaxed(document.workloads[column], share);
    const times = studies.map((study) => studyTime(field, entry, column, study, target, axis));
    return {
      value: median(times.map((time) => time.value)),
      reached: times.filter((time) => time.value < Number.POSITIVE_INFINITY).length,
      studies: times.length,
      bounds: times.filter((time) => time.isBound).length,
    };
  }

  function fastest(times, places) {
    return places.map((place) =>
      times.reduce((best, row) => Math.min(best, row[place]), Number.POSITIVE_INFINITY),
    );
  }

  /**
   * Performance ratios after the held-out and r_max rules, as rules.performance_ratios.
   *
   * @param times rows of entries, fixed workloads first, then variants.
   * @param bases for each variant the place of the workload that it guards.
   */
  function performanceRatios(times, numWorkloads, bases, rMax, oneBest) {
    const fixedPlaces = [...Array(numWorkloads).keys()];
    const variants = times.map((row) =>
      bases.map((base, place) =>
        Number.isFinite(row[base]) ? row[numWorkloads + place] : Number.POSITIVE_INFINITY,
      ),
    );
    const limitsHeldOut = fastest(
      variants,
      bases.map((_, place) => place),
    ).map((best) => rMax * best);
    const qualified = times.map((row, entry) => {
      const own = row.slice(0, numWorkloads);
      bases.forEach((base, place) => {
        const time = variants[entry][place];
        const isWithin = time <= limitsHeldOut[place] && time < Number.POSITIVE_INFINITY;
        if (!isWithin) own[base] = Number.POSITIVE_INFINITY;
      });
      return own;
    });
    const limits = fastest(oneBest ? qualified : times, fixedPlaces).map((best) => rMax * best);
    const remaining = qualified.map((row) =>
      row.map((time, place) => (time > limits[place] ? Number.POSITIVE_INFINITY : time)),
    );
    const best = fastest(remaining, fixedPlaces);
    return remaining.map((row) =>
      row.map((time, place) => {
        if (!(best[place] > 0)) return time > 0 ? Number.POSITIVE_INFINITY : 1;
        return Number.isFinite(best[place]) ? time / best[place] : time;
      }),
    );
  }

  /** What one workload adds to a score, from 0 to 1. */
  function contribution(ratio, rMax, isExact) {
    if (isExact) return Math.min(Math.max((rMax - ratio) / (rMax - 1), 0), 1);
    const last = GRID_POINTS - 1;
    const step = (rMax - 1) / last;
    for (let point = 0; point <= last; point += 1) {
      // As numpy.linspace makes its points.
      const tau = point === last ? rMax : point * step + 1;
      if (tau >= ratio) return point === 0 ? 1 : (last + 0.5 - point) / last;
    }
    return 0;
  }

  /** Ranks from 1; scores that are equal up to rounding share the better one. */
  function ranks(scores) {
    return scores.map(
      (own) => 1 + scores.filter((other) => other > own + RELATIVE_ROUNDING * Math.abs(own)).length,
    );
  }

  /**
   * The field scored under a choice.
   *
   * @param field the document's index.
   * @param choice as `defaults` makes it.
   * @returns entries, workloads, and for each entry times, ratios, score, rank; how many study times are least ones.
   */
  function rescore(field, choice) {
    const { document } = field;
    const { entries, workloads } = choice;
    const guards = field.columns.filter(
      (column) => document.workloads[column].guards && workloads.includes(document.workloads[column].guards),
    );
    const bases = guards.map((column) => workloads.indexOf(document.workloads[column].guards));
    const columns = [...workloads, ...guards];
    const cells = entries.map((entry) =>
      columns.map((column) => cellTime(field, entry, column, choice.share, choice.axis)),
    );
    const isClean = document.settings.procedure !== "official";
    const times = cells.map((row) => row.map((cell) => cell.value));
    const ratios = performanceRatios(times, workloads.length, bases, choice.rMax, isClean);
    const total = workloads.reduce((sum, name) => sum + choice.weights[name], 0);
    const scores = ratios.map((row) => {
      const parts = row.map(
        (ratio, place) => choice.weights[workloads[place]] * contribution(ratio, choice.rMax, isClean),
      );
      return total > 0 ? parts.reduce((sum, part) => sum + part, 0) / total : 0;
    });
    const places = ranks(scores);
    return {
      columns,
      workloads,
      bounds: cells.flat().reduce((sum, cell) => sum + cell.bounds, 0),
      rows: entries.map((entry, row) => ({
        entry,
        score: scores[row],
        rank: places[row],
        cells: cells[row],
        ratios: ratios[row],
        reached: ratios[row].filter((ratio) => ratio < Number.POSITIVE_INFINITY).length,
      })),
    };
  }

  Object.assign(report, {
    defaults,
    isChanged,
    relaxed,
    rescore,
    performanceRatios,
    contribution,
    ranks,
    median,
    known,
  });
})();
