"use strict";
// The theme is the system's until the button chooses another.
function buildTheme(button) {
  const names = ["auto", "light", "dark"];
  const stored = () => { try { return localStorage.getItem("laketasks-theme"); } catch { return null; } };
  const set = (name) => {
    document.documentElement.toggleAttribute("data-theme", false);
    if (name !== "auto") document.documentElement.setAttribute("data-theme", name);
    button.textContent = `Theme: ${name}`;
    button.dataset.name = name;
    try { localStorage.setItem("laketasks-theme", name); } catch { /* a page from a file may not be allowed to */ }
  };
  set(names.includes(stored()) ? stored() : "auto");
  button.addEventListener("click", () => set(names[(names.indexOf(button.dataset.name) + 1) % names.length]));
}
