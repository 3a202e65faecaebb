// The theme lets a wide table scroll in a frame; with this a keyboard can scroll it, too.
document.addEventListener("DOMContentLoaded", () => {
  for (const frame of document.querySelectorAll(".pst-scrollable-table-container")) {
    frame.tabIndex = 0;
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", "Table");
  }
});
