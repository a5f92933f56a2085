// A button with data-copy="ID" copies that element's text. Pages without HTTPS have no clipboard: there the text is
// selected and the old command is tried, and what is left selected can be copied by hand.
(function () {
  "use strict";
  document.addEventListener("click", function (event) {
    var button = event.target.closest ? event.target.closest("[data-copy]") : null;
    var from = button && document.getElementById(button.dataset.copy);
    if (!from) return;
    function done() { button.textContent = button.dataset.copied; }
    function select() {
      var range = document.createRange();
      range.selectNodeContents(from);
      window.getSelection().removeAllRanges();
      window.getSelection().addRange(range);
      if (document.execCommand("copy")) done();
    }
    if (navigator.clipboard && window.isSecureContext) navigator.clipboard.writeText(from.textContent).then(done, select);
    else select();
  });
})();
