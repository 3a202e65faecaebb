// How Sphinx ranks what a search finds: the foundations, which define words, stand first, and names
// and pages of the API last.
// `var`, since Sphinx's own script declares it so; the other numbers are Sphinx's.
var Scorer = {
  score: ([page, , , , score]) =>
    score + (page.includes("book/foundations/") ? 10 : page.includes("appendix/api") ? -100 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
