"use strict";
{
  const sign = document.getElementById("live");
  const due = Number(sign.dataset.due), written = Number(sign.dataset.written);
  const again = document.getElementById("again"), age = document.getElementById("age");
  const late = document.getElementById("late"), opened = Date.now();
  const since = (seconds) => seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min`
    : `${Math.round(seconds / 360) / 10} h`;
  const kept = () => { try { return sessionStorage; } catch { return {}; } };
  again.checked = kept().torchsag !== "still";
  again.addEventListener("change", () => { kept().torchsag = again.checked ? "again" : "still"; });
  sign.querySelector("label").hidden = false;
  const look = () => {
    const now = Date.now() / 1000;
    age.textContent = ` (${since(Math.max(0, now - written))} ago)`;
    const stopped = now > due;
    if (stopped) {
      const verdict = document.querySelector(".verdict");
      verdict.classList.replace("running", "no");
      verdict.querySelector("h2").textContent = `No sign of life for ${since(now - written)}: stopped or killed, not finished.`;
      late.hidden = false;
    }
    const busy = document.activeElement !== document.body && document.activeElement !== again || String(getSelection());
    if (again.checked && !stopped && !busy && Date.now() - opened > 20000) location.reload();
  };
  look();
  setInterval(look, 1000);
}
