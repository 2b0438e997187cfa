// The one global name of the page; every other file adds to it.
globalThis.report = {};
