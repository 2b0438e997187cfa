// Numbers as text.
(() => {
  const report = globalThis.report;
  const MINUS = "\u2212";

  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
  const signed = (text) => text.replace("-", MINUS);

  /** With so many digits after the point; a dash for what is not known. */
  function fixed(value, digits) {
    return isNumber(value) ? signed(value.toFixed(digits)) : "–";
  }

  /** Three significant digits, with thousands apart. */
  function short(value) {
    if (!isNumber(value)) return "–";
    const size = Math.abs(value);
    if (size !== 0 && size < 0.001) return signed(value.toExponential(1));
    const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 4;
    return signed(value.toLocaleString("en", { maximumFractionDigits: digits }));
  }

  /** Seconds in a unit that people read. */
  function duration(seconds) {
    if (!isNumber(seconds)) return "–";
    if (seconds < 120) return `${short(seconds)} s`;
    if (seconds < 7200) return `${short(seconds / 60)} min`;
    return `${short(seconds / 3600)} h`;
  }

  const percent = (value, digits = 0) =>
    isNumber(value) ? `${signed((100 * value).toFixed(digits))} %` : "–";

  /** For the ticks of an axis: 20k, 1.5M. */
  function thousands(value) {
    if (value >= 1e6) return `${value / 1e6}M`;
    return value >= 1e3 ? `${value / 1e3}k` : String(value);
  }

  /** Bytes in GiB or MiB. */
  function bytes(value) {
    if (!isNumber(value)) return "–";
    return value >= 2 ** 30 ? `${short(value / 2 ** 30)} GiB` : `${short(value / 2 ** 20)} MiB`;
  }

  /** A name within so many letters: first without the leaderboard that it came with, then without its end. */
  function cut(name, most) {
    const text = name.length <= most ? name : name.slice(name.lastIndexOf("/") + 1);
    return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
  }

  Object.assign(report, { isNumber, fixed, short, duration, percent, bytes, cut, thousands });
})();
