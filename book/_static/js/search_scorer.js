// How Sphinx ranks what a search finds: pages to read stand before names and pages of the API.
// `var`, since Sphinx's own script declares it so; the other numbers are Sphinx's.
var Scorer = {
  score: ([page, , , , score]) => (page.includes("appendix/api") ? score - 100 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
