import { $, choose, tried } from "./page.js";

$("form").addEventListener("submit", (event) => event.preventDefault());
$("form").addEventListener("change", (event) => {
  const { name, value } = event.target;
  const chosen = name === "header_row" ? Number.parseInt(value, 10) || null : value || null;
  $("busy").hidden = false;
  tried(() => choose({ [name]: chosen }, "look")).then((well) => {
    if (!well) $("busy").hidden = true;
  });
});
