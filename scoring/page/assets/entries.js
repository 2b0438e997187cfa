// A card for each entry: what it says of itself, how it was run, and every trial with a link to its record.
(() => {
  const report = globalThis.report;
  const { h } = report;
  const MOST = 8;

  /** Different values of a column over the trials of an entry, as text. */
  function values(trials, name) {
    const found = new Set();
    for (const trial of trials) {
      const value = trial[name];
      if (value === null || value === undefined) continue;
      found.add(
        typeof value === "object"
          ? Object.entries(value)
              .map(([key, own]) => `${key} ${own}`)
              .join(", ")
          : String(value),
      );
    }
    const all = [...found];
    return all.length > MOST
      ? `${all.slice(0, MOST).join("; ")} and ${all.length - MOST} more`
      : all.join("; ");
  }

  function refereed(trials) {
    const known = trials.filter((trial) => trial.refereed !== null);
    if (known.length === 0) return "";
    const yes = known.filter((trial) => trial.refereed).length;
    if (yes === trials.length) return "refereed";
    return yes ? `refereed in ${yes} of ${trials.length} trials` : "not refereed";
  }

  function facts(field, entry, trials) {
    const info = field.document.infos[entry] ?? {};
    return [
      ["Name", info.name],
      ["Authors", info.authors],
      ["Description", info.description],
      ["Framework", values(trials, "framework")],
      ["Refereed", refereed(trials)],
      ["Device", values(trials, "device")],
      ["Host", values(trials, "host")],
      ["Versions", values(trials, "versions")],
      ["Project's commit", values(trials, "commit")],
      ["Hash of its source", values(trials, "source")],
      ["Seeds", values(trials, "seed")],
      ["Errors", values(trials, "error")],
    ].filter(([, value]) => value);
  }

  function trialTable(entry, trials) {
    const hasPoints = trials.some((trial) => trial.hyperparameters);
    const point = (trial) =>
      trial.hyperparameters
        ? Object.entries(trial.hyperparameters)
            .map(([name, value]) => `${name} ${typeof value === "number" ? report.short(value) : value}`)
            .join(", ")
        : "–";
    const head = [
      "Trial",
      "Ended",
      "Target at (s)",
      "Updates",
      "Best",
      "Ran (s)",
      ...(hasPoints ? ["Hyperparameters"] : []),
    ];
    const body = trials.map((trial) => [
      report.recordLink(trial, `${trial.workload}, study ${trial.study}, trial ${trial.trial}`),
      (trial.status ?? "–").replaceAll("_", " "),
      report.fixed(trial.hit_time_sec, 1),
      report.short(trial.hit_step),
      report.fixed(trial.best, Math.abs(trial.best) < 10 ? 4 : 2),
      report.fixed(trial.last_time_sec, 1),
      ...(hasPoints ? [point(trial)] : []),
    ]);
    return report.table(`Trials of ${entry}`, head, body, `llnnnn${hasPoints ? "l" : ""}`);
  }

  function card(field, entry) {
    const trials = field.columns
      .flatMap((workload) => field.trialsOf(entry, workload))
      .concat(
        field.trials.filter((one) => one.submission === entry && !field.columns.includes(one.workload)),
      );
    const own = field.entries.get(entry);
    const body = h("div", {});
    const element = h(
      "details",
      { class: "card", id: `entry-${field.order.indexOf(entry)}`, "data-key": entry },
      h(
        "summary",
        {},
        report.mark(field, entry),
        " ",
        field.nameOf(entry),
        ` · score ${report.fixed(own.score, 4)}`,
      ),
      body,
    );
    // Thousands of rows are made only when somebody asks for them.
    const fill = () => {
      if (!element.open || body.childElementCount) return;
      const list = facts(field, entry, trials);
      body.append(
        h(
          "dl",
          {},
          list.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
        ),
      );
      if (trials.length) body.append(trialTable(entry, trials));
      else body.append(h("p", {}, "Published as medians: there are no trials."));
    };
    element.addEventListener("toggle", fill);
    return element;
  }

  function draw(field, _store, body) {
    body.replaceChildren(...field.order.map((entry) => card(field, entry)));
  }

  /** Opens the card that a link on the board points to. */
  function openCard() {
    const found = document.getElementById(location.hash.slice(1));
    if (!found?.matches("details.card")) return;
    found.open = true;
    found.scrollIntoView();
  }

  function rows(field) {
    const names = Object.keys(field.document.trials).filter((name) => name !== "record");
    const text = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : value);
    return [
      [...names, "record"],
      ...field.trials.map((trial) => [...names.map((name) => text(trial[name])), trial.record?.path ?? null]),
    ];
  }

  report.openCard = openCard;
  report.views.push({
    id: "entries",
    title: "Entries",
    how: "What each entry says of itself, the machine and versions that it ran with, and every trial. A trial's name is a link to its records where they lie beside this page.",
    depends: [],
    isAbsent: (field) => field.order.length === 0,
    draw,
    rows,
  });
})();
