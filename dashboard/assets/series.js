// The series page: what was zoomed into and clicked stands in the address, without loading anything anew.
(function () {
  "use strict";
  var clickedAt = 0;
  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.barometer_series = {
    address: function (zoom, point) {
      if (!/^\/series\//.test(window.barometer_at.here())) return;
      var query = new URLSearchParams(location.search);
      set(query, "from", zoom && zoom.from);
      set(query, "to", zoom && zoom.to);
      set(query, "at", point);
      var text = query.toString();
      window.history.replaceState(window.history.state, "", location.pathname + (text ? "?" + text : ""));
    },
    // Says when the chart stands, or that it takes too long.
    drawn: function () {
      var began = Date.now();
      return new Promise(function (resolve) {
        (function look() {
          if (document.querySelector("#series-chart .main-svg") || Date.now() - began > 3000) resolve(Date.now());
          else setTimeout(look, 30);
        })();
      });
    },
    // The texts of a point that was clicked are brought into view, unless enough of them is.
    bring: function () {
      var texts = document.getElementById("series-texts");
      if (!clickedAt || Date.now() - clickedAt > 8000 || !texts) return;
      clickedAt = 0;
      requestAnimationFrame(function () {
        if (texts.getBoundingClientRect().top < window.innerHeight - 260) return;
        var calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
        texts.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
      });
    },
    unzoom: function (clicks) { return clicks ? null : dash_clientside.no_update; },
    // A point leads to its texts, a mark of an alert to the alert.
    click: function (clicked) {
      var points = (clicked && clicked.points) || [], at = null, alert = null;
      points.forEach(function (p) {
        if (typeof p.customdata === "string" && p.customdata.indexOf("alert:") === 0) alert = p.customdata.slice(6);
        else if (typeof p.customdata === "number" && at === null) at = p.customdata;
      });
      if (alert !== null && at === null) {
        window.history.pushState({}, "", window.barometer_at.to("/alerts/") + encodeURIComponent(alert));
        window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
        return dash_clientside.no_update;
      }
      if (at !== null) clickedAt = Date.now();
      return at === null ? dash_clientside.no_update : at;
    },
  };
  // The same without a mouse: the arrow keys go from point to point.
  document.addEventListener("keydown", function (event) {
    var box = document.getElementById("series-chart-box");
    if (!box || event.target !== box || (event.key !== "ArrowLeft" && event.key !== "ArrowRight")) return;
    var plot = box.querySelector(".js-plotly-plot"), points = [];
    ((plot && plot.data) || []).forEach(function (trace) {
      var at = Array.prototype.filter.call(trace.customdata || [], function (x) { return typeof x === "number"; });
      if (at.length > points.length) points = at;
    });
    if (!points.length) return;
    event.preventDefault();
    var now = points.indexOf(Number(new URLSearchParams(location.search).get("at"))), last = points.length - 1;
    var next = now < 0 ? last : Math.max(0, Math.min(last, now + (event.key === "ArrowLeft" ? -1 : 1)));
    dash_clientside.set_props("series-point", { data: points[next] });
  });
  function set(query, name, value) {
    if (value === null || value === undefined) query.delete(name);
    else query.set(name, value);
  }
})();
