// What the browser must do by itself: paint the theme, notice a lost session, and say when figures have stopped.
(function () {
  "use strict";
  var SILENCE_MS = 15000;
  var lastAnswer = Date.now();
  var FAILING_MS = 12000; // longer than two refreshes
  var failures = []; // when the server answered with an error
  var shownSince = Date.now();
  var leaving = false;

  // Where the dashboard stands behind a path of a host, addresses begin with it.
  var prefix = document.documentElement.getAttribute("data-prefix") || "";
  window.barometer_at = {
    to: function (path) { return prefix + path; },
    here: function (path) {
      var whole = path === undefined ? location.pathname : path || "/";
      return prefix && whole.indexOf(prefix) === 0 ? whole.slice(prefix.length) || "/" : whole;
    },
  };

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.barometer = {
    paint: function (ui) {
      var theme = (ui && ui.theme) || "light";
      document.documentElement.setAttribute("data-mantine-color-scheme", theme);
      document.documentElement.lang = ui && ui.lang === "en" ? "en" : "zh-CN";
      return theme;
    },
    here: function (pathname) {
      var path = window.barometer_at.here(pathname || null);
      var marks = JSON.parse((document.getElementById("nav") || { dataset: {} }).dataset.marks || "{}");
      return Array.prototype.slice.call(arguments, 2).map(function (address) {
        var page = window.barometer_at.here(address);
        var on = (marks[page] || []).some(function (begin) {
          return path === begin || (begin !== "/" && path.indexOf(begin.replace(/\/$/, "") + "/") === 0);
        });
        return on ? "nav-link on" : "nav-link";
      });
    },
    morph: function (fresh) {
      if (!fresh) return;
      var path = find(dash_component_api.getLayout(["components"]), ["components"], fresh.id);
      if (!path) return;
      var old = dash_component_api.getLayout(path);
      morphChildren(old.props.children, fresh.children, path);
    },
  };

  // --- refreshing a tree of components by what differs (see components/live.py) ---
  function isComponent(x) {
    return x !== null && typeof x === "object" && !Array.isArray(x) && "props" in x && "type" in x;
  }

  function find(node, path, id) {
    if (Array.isArray(node)) {
      for (var i = 0; i < node.length; i++) {
        var found = find(node[i], path.concat(i), id);
        if (found) return found;
      }
      return null;
    }
    if (!isComponent(node)) return null;
    if (node.props.id === id) return path;
    return find(node.props.children, path.concat("props", "children"), id);
  }

  function same(a, b) {
    if (a === b || (a == null && b == null)) return true;
    if (a === null || b === null || typeof a !== "object" || typeof b !== "object") return false;
    if (Array.isArray(a) !== Array.isArray(b)) return false;
    var keys = Object.keys(b);
    return keys.length === Object.keys(a).length && keys.every(function (k) { return same(a[k], b[k]); });
  }

  function fits(a, b) {
    if (isComponent(a) && isComponent(b)) return a.type === b.type && a.namespace === b.namespace && a.props.id === b.props.id;
    return !isComponent(a) && !isComponent(b) && same(a, b);
  }

  // Sets what differs below the component at `path`, whose children go from `a` to `b`.
  function morphChildren(a, b, path) {
    var at = path.concat("props", "children");
    if (Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every(function (x, i) { return fits(x, b[i]); })) {
      a.forEach(function (x, i) { if (isComponent(x)) morphComponent(x, b[i], at.concat(i)); });
    } else if (isComponent(a) && isComponent(b) && fits(a, b)) {
      morphComponent(a, b, at);
    } else if (!same(a, b)) {
      dash_clientside.set_props(path, { children: b === undefined ? null : b });
    }
  }

  function morphComponent(a, b, path) {
    var changed = {};
    Object.keys(b.props).concat(["className", "style", "title", "hidden"]).forEach(function (name) {
      if (name !== "children" && (name in b.props || name in a.props) && !same(a.props[name], b.props[name])) {
        changed[name] = b.props[name] === undefined ? null : b.props[name];
      }
    });
    if (Object.keys(changed).length) dash_clientside.set_props(path, changed);
    morphChildren(a.props.children, b.props.children, path);
  }

  var fetchBefore = window.fetch;
  window.fetch = function (input) {
    var url = typeof input === "string" ? input : (input && input.url) || "";
    var asked = fetchBefore.apply(this, arguments);
    var init = arguments[1];
    if (url.indexOf("/_dash-update-component") >= 0 && init && typeof init.body === "string"
        && init.body.lastIndexOf("_pages_content.children", 400) >= 0) going(asked);
    return asked.then(function (response) {
      if (url.indexOf("/_dash-update-component") >= 0) {
        if (response.status === 401) {
          // Several callbacks learn of it at once; a second departure would break off the first.
          if (!leaving) {
            var next = window.barometer_at.here() + location.search;
            location.assign(window.barometer_at.to("/login?expired=1&next=") + encodeURIComponent(next));
          }
          leaving = true;
        } else if (response.status >= 500) {
          failures.push(Date.now());
        } else if (response.ok) {
          lastAnswer = Date.now();
        }
      }
      return response;
    });
  };

  // A page that takes its time is announced, for eyes and for screen readers.
  function going(asked) {
    var main = document.getElementById("main");
    var late = setTimeout(function () {
      document.body.classList.add("going");
      if (main) main.setAttribute("aria-busy", "true");
    }, 200);
    function come() {
      clearTimeout(late);
      document.body.classList.remove("going");
      if (main) main.removeAttribute("aria-busy");
    }
    asked.then(come, come);
  }

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
    var now = Date.now();
    if (failures.length && now - failures[failures.length - 1] > FAILING_MS) failures = [];
    var broken = !lost && failures.length > 1;
    bar.hidden = !lost && !broken;
    document.body.classList.toggle("offline", lost);
    if (broken) bar.textContent = (bar.dataset.broken || "").replace("{time}", clock(failures[0]));
    if (lost) bar.textContent = (bar.dataset.text || "").replace("{time}", clock(lastAnswer));
  }, 1000);
})();
