// Runs before the first paint, so that a dark control room never sees a white flash.
(function () {
  var root = document.documentElement;
  try {
    var scheme = localStorage.getItem("headrace.scheme") || "auto";
    var dark = scheme === "dark" || (scheme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
    root.setAttribute("data-mantine-color-scheme", dark ? "dark" : "light");
    var language = localStorage.getItem("headrace.language") || navigator.language;
    root.lang = language.slice(0, 2) === "zh" ? "zh-CN" : "en";
  } catch (_) {
    // Storage may be forbidden; the page then starts light and in English.
  }
})();
