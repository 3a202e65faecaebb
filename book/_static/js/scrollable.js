// The theme lets a wide table scroll in a frame, and css/small_screens.css a drawing on a phone; with
// this a keyboard can scroll them, too.
document.addEventListener("DOMContentLoaded", () => {
  const reach = (frame, role, name) => {
    frame.tabIndex = 0;
    frame.setAttribute("role", role);
    frame.setAttribute("aria-label", name);
  };
  const leave = (frame) => ["tabindex", "role", "aria-label"].forEach((name) => frame.removeAttribute(name));
  for (const frame of document.querySelectorAll(".pst-scrollable-table-container")) reach(frame, "region", "Table");

  // Solutions stay closed on paper, see css/print.css.
  for (const title of document.querySelectorAll(".admonition.dropdown > .admonition-title"))
    if (/^(Solution|Answer)/.test(title.textContent.trim())) title.parentElement.classList.add("solution");

  const phone = window.matchMedia("(max-width: 500px)"); // as in css/tables.css
  const drawings = document.querySelectorAll(".bd-article :is(.cell_output, p):has(> img)");
  const turned = () => drawings.forEach((frame) => (phone.matches ? reach(frame, "group", "Drawing") : leave(frame)));
  phone.addEventListener("change", turned);
  turned();
});
