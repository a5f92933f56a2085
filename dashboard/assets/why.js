// "Why" under a text opens the one dialog of the frame.
(function () {
  "use strict";
  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.barometer_why = { open: function (asked) { return !!(asked && asked.key); } };

  document.addEventListener("click", function (event) {
    var button = event.target.closest && event.target.closest("[data-why]");
    if (!button) return;
    dash_clientside.set_props("why-body", { children: "…" });
    dash_clientside.set_props("why-asked", { data: { key: button.dataset.why, at: Date.now() } });
  });
})();
