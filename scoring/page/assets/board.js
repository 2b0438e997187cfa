// The board: scores with intervals, ranks, tie groups, workloads reached.
(() => {
  const report = globalThis.report;
  const { h, svg, fixed } = report;
  const BAR = 220;

  /** A bar from 0 to 1 with its interval. */
  function bar(score, low, high, color) {
    const x = (value) => 1 + value * (BAR - 2);
    const parts = [
      svg("rect", { x: 1, y: 3, width: BAR - 2, height: 12, class: "track" }),
      svg("rect", { x: 1, y: 3, width: Math.max(0, x(score) - 1), height: 12, fill: color }),
    ];
    if (report.isNumber(low) && report.isNumber(high)) {
      parts.push(
        svg("path", { d: `M${x(low)} 9H${x(high)}M${x(low)} 5v8M${x(high)} 5v8`, class: "whisker-back" }),
        svg("path", { d: `M${x(low)} 9H${x(high)}M${x(low)} 5v8M${x(high)} 5v8`, class: "whisker" }),
      );
    }
    const label = `Score ${fixed(score, 3)}${report.isNumber(low) ? `, interval ${fixed(low, 3)} to ${fixed(high, 3)}` : ""}`;
    return svg(
      "svg",
      { viewBox: `0 0 ${BAR} 18`, width: BAR, height: 18, class: "bar", role: "img", "aria-label": label },
      ...parts,
    );
  }

  /** One line of the board for each entry that is scored; intervals only for the document's own scores. */
  function lines(field, store) {
    const { document } = field;
    const isOwn = !report.isChanged(document, store.choice) && store.choice.axis === document.settings.axis;
    const found = store.result.rows.map((row) => {
      const entry = field.entries.get(row.entry);
      const place = document.axes[document.settings.axis].submissions[row.entry];
      return {
        ...row,
        low: isOwn ? entry.score_low : null,
        high: isOwn ? entry.score_high : null,
        rankLow: isOwn ? entry.rank_low : null,
        rankHigh: isOwn ? entry.rank_high : null,
        group: isOwn ? entry.tie_group : null,
        atLeast: isOwn ? entry.score_at_least : null,
        atMost: isOwn ? entry.score_at_most : null,
        isProvisional: isOwn && entry.provisional === 1,
        rankText: isOwn && entry.rank === null ? rankRange(entry) : String(row.rank),
        before: place.score,
        rankBefore: place.rank,
      };
    });
    const by = store.sort.by;
    const sign = store.sort.isUp ? 1 : -1;
    const plain = (a, b) => a.rank - b.rank || (a.entry < b.entry ? -1 : 1);
    const compare = {
      rank: plain,
      score: (a, b) => a.score - b.score || plain(a, b),
      entry: (a, b) => (a.entry < b.entry ? -1 : 1),
      reached: (a, b) => a.reached - b.reached || -plain(a, b),
    }[by];
    return found.sort((a, b) => sign * compare(a, b));
  }

  function rankRange(entry) {
    if (!report.isNumber(entry.rank_at_best)) return "–";
    return `${entry.rank_at_best}–${entry.rank_at_worst}`;
  }

  function header(store, by, text, kind) {
    const isOwn = store.sort.by === by;
    const sort = isOwn ? (store.sort.isUp ? "ascending" : "descending") : "none";
    const next = { by, isUp: isOwn ? !store.sort.isUp : by === "rank" || by === "entry" };
    return h(
      "th",
      { scope: "col", class: kind, "aria-sort": sort },
      h(
        "button",
        { type: "button", class: "sort", "data-key": `sort-${by}`, onclick: () => store.set({ sort: next }) },
        text,
        h("span", { "aria-hidden": "true" }, isOwn ? (store.sort.isUp ? " ▲" : " ▼") : ""),
      ),
    );
  }

  function row(field, store, line, hasIntervals) {
    const isHidden = store.hidden.has(line.entry);
    const { color } = report.look(field, line.entry);
    const number = (text, kind = "number") => h("td", { class: kind }, text);
    const range = (low, high, digits) =>
      report.isNumber(low) ? `${fixed(low, digits)} – ${fixed(high, digits)}` : "";
    return h(
      "tr",
      { class: isHidden ? "is-hidden" : null, "data-entry": line.entry },
      h(
        "td",
        {},
        h("input", {
          type: "checkbox",
          checked: !isHidden,
          "data-key": `show-${line.entry}`,
          "aria-label": `Show ${line.entry} in the charts`,
          onchange: () => report.toggle(store, line.entry),
        }),
      ),
      number(line.rankText),
      h(
        "th",
        { scope: "row", class: "entry" },
        report.mark(field, line.entry),
        h(
          "a",
          { href: `#entry-${field.order.indexOf(line.entry)}`, title: field.nameOf(line.entry) },
          report.breakable(line.entry),
        ),
        line.isProvisional ? h("span", { class: "tag", title: "Results are missing." }, "provisional") : null,
        h("div", { class: "name-bar", "aria-hidden": "true" }, bar(line.score, line.low, line.high, color)),
      ),
      h("td", { class: "wide" }, bar(line.score, line.low, line.high, color)),
      number(report.cardLink(field, line.entry, fixed(line.score, 4))),
      hasIntervals ? number(range(line.low, line.high, 3), "number wide") : null,
      hasIntervals
        ? number(report.isNumber(line.rankLow) ? `${line.rankLow}–${line.rankHigh}` : "", "number middle")
        : null,
      hasIntervals ? number(report.isNumber(line.group) ? String(line.group) : "", "number middle") : null,
      number(`${line.reached}/${store.result.workloads.length}`),
    );
  }

  function draw(field, store, body) {
    const { document } = field;
    if (field.order.length === 0) {
      body.replaceChildren(h("p", {}, "There are no entries."));
      return;
    }
    const axes = Object.keys(document.axes).map((axis) => [axis, report.UNIT_WORDS[axis]]);
    const all = lines(field, store);
    // Of the document's own scores alone: a change in the browser draws no new samples.
    const hasIntervals = all.some((line) => report.isNumber(line.low));
    const set = (axis) => store.set({ choice: { ...store.choice, axis } });
    body.replaceChildren(
      h(
        "div",
        { class: "controls" },
        report.select("Scored by", axes, store.choice.axis, set),
        banner(field, store),
      ),
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": "Board" },
        h(
          "table",
          { class: "board" },
          h("caption", { class: "hidden" }, "Scores and ranks"),
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              h("th", { scope: "col" }, h("span", { class: "hidden" }, "Shown")),
              header(store, "rank", "Rank", "number"),
              header(store, "entry", "Entry"),
              h("th", { scope: "col", class: "wide" }, "Score, with what luck leaves open"),
              header(store, "score", "Score", "number"),
              hasIntervals ? h("th", { scope: "col", class: "number wide" }, "95 % interval") : null,
              hasIntervals ? h("th", { scope: "col", class: "number middle" }, "Ranks") : null,
              hasIntervals ? h("th", { scope: "col", class: "number middle" }, "Tie group") : null,
              header(store, "reached", "Reached", "number"),
            ),
          ),
          h(
            "tbody",
            {},
            all.map((line) => row(field, store, line, hasIntervals)),
          ),
        ),
      ),
    );
  }

  /** A line that says that these are not the document's scores. */
  function banner(field, store) {
    if (!report.isChanged(field.document, store.choice)) return null;
    return h(
      "p",
      { class: "banner", role: "status" },
      `What if: ${report.changes(field, store.choice)}. These are not the scores of the rules. `,
      h(
        "button",
        {
          type: "button",
          onclick: () =>
            store.set({ choice: { ...report.defaults(field.document), axis: store.choice.axis } }),
        },
        "Back to the rules",
      ),
    );
  }

  function rows(field, store) {
    return [
      ["submission", "rank", "score", "score_low", "score_high", "num_workloads_reached"],
      ...lines(field, store).map((one) => [one.entry, one.rank, one.score, one.low, one.high, one.reached]),
    ];
  }

  report.views = [
    {
      id: "board",
      title: "Board",
      how:
        "A score is the share of workloads that an entry solved, each counting less the slower it was than the fastest " +
        "(1 is fastest everywhere). The line across a bar is where the score of infinitely many studies lies; entries of one tie group are not told apart.",
      hasTable: true,
      depends: ["choice", "sort", "hidden"],
      draw,
      rows,
    },
  ];
})();
