// Puts the views on the page, each drawn when it comes into sight and again when a choice that it shows changes.
(() => {
  const report = globalThis.report;
  const { h } = report;

  function headline(field) {
    const { document: all } = field;
    const { settings } = all;
    const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
    const facts = [
      count(field.order.length, "entry").replace("entrys", "entries"),
      `${settings.workloads.length} workloads${field.columns.length > settings.workloads.length ? ` and ${field.columns.length - settings.workloads.length} held out` : ""}`,
      `${count(settings.num_studies, "study").replace("studys", "studies")} of ${count(settings.num_trials, "trial")}`,
      `r_max ${settings.r_max}`,
      settings.procedure === "official" ? "official procedure" : null,
      all.devices.join(", ") || null,
      all.is_running ? "still running: results are missing" : null,
    ];
    const head = document.getElementById("head");
    head.append(h("p", {}, facts.filter(Boolean).join(" · ")));
    const serious = all.notes.filter((note) => /^(Warning|Not the rules)/.test(note));
    for (const note of serious) head.append(h("p", { class: "banner" }, note));
    if (all.notes.length || all.findings.length) {
      head.append(
        h(
          "details",
          {},
          h(
            "summary",
            {},
            `${count(all.notes.length, "note")} and ${count(all.findings.length, "finding")} about the results`,
          ),
          h(
            "ul",
            {},
            all.notes.map((note) => h("li", {}, note)),
          ),
          h(
            "ul",
            {},
            all.findings.map((one) =>
              h(
                "li",
                {},
                [one.submission, one.workload, one.kind, one.place, one.detail].filter(Boolean).join(" · "),
              ),
            ),
          ),
        ),
      );
    }
  }

  function place(field, store, view) {
    const body = h("div", { class: "body" });
    const section = h(
      "section",
      { id: view.id, "aria-labelledby": `${view.id}-title` },
      h("h2", { id: `${view.id}-title` }, view.title),
      h("p", { class: "how" }, view.how),
      body,
    );
    section.append(
      report.exportButtons({ ...view, rows: view.rows && (() => view.rows(field, store)) }, section),
    );
    let isDrawn = false;
    let isStale = true;
    let isSeen = false;
    const draw = () => {
      isStale = false;
      isDrawn = true;
      // Whoever works by keyboard goes on from the element that was just drawn anew.
      const held = body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
      const cards = [...body.querySelectorAll("details[data-key]")];
      const open = new Map(cards.map((card) => [card.dataset.key, card.open]));
      view.draw(field, store, body);
      for (const card of body.querySelectorAll("details[data-key]")) {
        card.open = open.get(card.dataset.key) ?? card.open;
      }
      if (held) body.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus();
    };
    const need = (isForced) => {
      if (isStale && (isSeen || isForced)) draw();
    };
    new IntersectionObserver(
      (found) => {
        isSeen = found.some((one) => one.isIntersecting);
        need(false);
      },
      { rootMargin: "300px" },
    ).observe(section);
    store.watch((names) => {
      if (!names.some((name) => view.depends.includes(name))) return;
      isStale = true;
      if (isDrawn) need(view.isEager);
    });
    return {
      section,
      draw: () => need(true),
      stale: () => {
        isStale = true;
        need(false);
      },
    };
  }

  function choose(field, store) {
    store.watch((names) => {
      if (names.includes("choice")) store.result = report.rescore(field, store.choice);
    });
  }

  async function start() {
    const field = report.index(await report.unpack(document.getElementById("document").textContent));
    const choice = report.defaults(field.document);
    const store = report.makeStore({
      choice,
      result: report.rescore(field, choice),
      sort: { by: "rank", isUp: true },
      hidden: new Set(),
      curveAxis: "submission_time",
      curveWorkload: "",
      hasBands: true,
      cell: null,
      whyBy: "entry",
      timeWorkload: "",
      memoryWorkload: "",
      tuningWorkload: "",
    });
    choose(field, store);
    headline(field);
    const views = report.views.filter((view) => !view.isAbsent?.(field));
    const nav = document.getElementById("nav");
    nav.append(
      h(
        "ul",
        {},
        views.map((view) => h("li", {}, h("a", { href: `#${view.id}` }, view.title))),
      ),
    );
    const main = document.getElementById("main");
    main.replaceChildren();
    const placed = views.map((view) => place(field, store, view));
    main.append(...placed.map((one) => one.section));
    report.drawAll = () => {
      for (const one of placed) one.draw();
    };
    globalThis.addEventListener("beforeprint", report.drawAll);
    let width = innerWidth;
    globalThis.addEventListener("resize", () => {
      if (innerWidth === width) return; // A phone's bars come and go.
      width = innerWidth;
      for (const one of placed) one.stale();
    });
    placed[0]?.draw();
    Object.assign(report, { field, store });
    performance.mark("report-board");
    document.body.dataset.ready = "yes";
    const follow = () => {
      if (!/^#entry-\d+$/.test(location.hash)) return;
      placed[views.findIndex((view) => view.id === "entries")]?.draw();
      report.openCard();
    };
    globalThis.addEventListener("hashchange", follow);
    if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
    follow();
  }

  start().catch((error) => {
    document
      .getElementById("main")
      .replaceChildren(h("p", { role: "alert" }, `The page cannot show its results: ${error.message}`));
    throw error;
  });
})();
