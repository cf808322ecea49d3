// Comforts only: every page works without this file.
"use strict";

const words = document.body.dataset;

function addCopyButton(block) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy small quiet";
  button.textContent = words.copy;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.querySelector("code").textContent);
    button.textContent = words.copied;
    setTimeout(() => (button.textContent = words.copy), 2000);
  });
  block.append(button);
}

// Where a menu is wider than its window, the page that is open is in sight.
document.querySelectorAll(".bar nav ul:first-child [aria-current]").forEach((here) => here.scrollIntoView({ block: "nearest", inline: "center" }));

// Browsers give pages the clipboard only on https and on this machine.
if (navigator.clipboard) document.querySelectorAll(".code").forEach(addCopyButton);

// The browser's time zone is proposed where it isn't the chosen one; a click takes it into the form.
document.querySelectorAll("[data-browsers-zone]").forEach((proposal) => {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const select = proposal.closest("form").querySelector("select");
  const button = proposal.querySelector("button");
  if (select.value === here || ![...select.options].some((option) => option.value === here)) return;
  button.textContent = here;
  button.addEventListener("click", () => {
    select.value = here;
    proposal.hidden = true;
  });
  proposal.hidden = false;
});

// A second click while the first is under way sends nothing. The button is only marked, so that its value is sent.
document.querySelectorAll("form").forEach((form) => {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
});
window.addEventListener("pageshow", () => document.querySelectorAll("form").forEach((form) => delete form.dataset.sent));

// Parts that stay present by themselves (htmx) rest while nobody sees them, and are dimmed while nobody answers.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});
document.addEventListener("htmx:afterRequest", (event) => event.target.classList.toggle("stale", !event.detail.successful));
