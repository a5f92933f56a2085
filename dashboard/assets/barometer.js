// What the browser must do by itself: paint the theme, notice a lost session, and say when figures have stopped.
(function () {
  "use strict";
  var SILENCE_MS = 15000;
  var lastAnswer = Date.now();
  var shownSince = Date.now();

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.barometer = {
    paint: function (ui) {
      var theme = (ui && ui.theme) || "light";
      document.documentElement.setAttribute("data-mantine-color-scheme", theme);
      document.documentElement.lang = ui && ui.lang === "en" ? "en" : "zh-CN";
      return theme;
    },
  };

  var fetchBefore = window.fetch;
  window.fetch = function (input) {
    var url = typeof input === "string" ? input : (input && input.url) || "";
    return fetchBefore.apply(this, arguments).then(function (response) {
      if (url.indexOf("/_dash-update-component") >= 0) {
        if (response.status === 401) {
          location.assign("/login?expired=1&next=" + encodeURIComponent(location.pathname + location.search));
        } else if (response.ok) {
          lastAnswer = Date.now();
        }
      }
      return response;
    });
  };

  document.addEventListener("visibilitychange", function () {
    if (!document.hidden) shownSince = Date.now();
  });

  function clock(ms) {
    return new Date(ms).toTimeString().slice(0, 8);
  }

  // The tab says what it shows, and how many alerts wait, also while another one is in front.
  function title() {
    var heading = document.querySelector("#main h1");
    var brand = document.querySelector(".brand");
    var badge = document.getElementById("badge");
    if (!heading || !brand) return;
    var waiting = badge && !badge.hidden ? "(" + badge.textContent + ") " : "";
    var text = waiting + heading.textContent + " · " + brand.textContent;
    if (document.title !== text) document.title = text;
  }

  setInterval(title, 500);
  setInterval(function () {
    var bar = document.getElementById("offline");
    // A hidden page asks less often, so it is judged only after it has been visible for a while.
    if (!bar || document.hidden || Date.now() - shownSince < SILENCE_MS) return;
    var lost = Date.now() - lastAnswer > SILENCE_MS;
    bar.hidden = !lost;
    document.body.classList.toggle("offline", lost);
    if (lost) bar.textContent = (bar.dataset.text || "").replace("{time}", clock(lastAnswer));
  }, 1000);
})();
