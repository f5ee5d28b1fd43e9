// A purchase in a run that is there: the price, the question, and the yes to that very question.
import { $, call, counted, tried } from "./page.js";

const usd = (amount) => amount.toLocaleString("en-US", { style: "currency", currency: "USD" });
let offered = null;

// The service refuses the token, or it is another one than that which bought: it is given here, and the offer made anew.
let wants = {};
export function renew(wanted = wants) {
  wants = wanted;
  if ($("renew").hidden) $("token-text").value = "";
  $("renew").hidden = false;
}

export const isAsking = () => offered !== null;

// Ask what `wanted` would come to. `changed` is called whenever the question comes or goes, `bought` after a yes.
export function question(run, { changed = () => {}, bought = () => {} } = {}) {
  function forget() {
    offered = null;
    $("question").hidden = true;
    $("yes").disabled = false;
    changed();
  }

  function put() {
    const money = offered.price ? ` for ${usd(offered.estimate / 1e6)}` : "";
    $("ask").textContent = offered.count ? `Buy ${counted(offered.count, "picture")}${money}?` : "Collect what was bought?";
    $("ask-more").textContent = offered.cap === null ? "Without a cap." : `At most ${usd(offered.cap / 1e6)} in all.`;
    $("yes").textContent = offered.count ? `Yes, buy ${counted(offered.count, "picture")}` : "Yes, collect";
    $("question").hidden = false;
    $("yes").focus();
    changed();
  }

  $("no").addEventListener("click", forget);
  $("yes").addEventListener("click", async () => {
    $("yes").disabled = true;
    const well = await tried(() => call(`runs/${run}/buy`, { nonce: offered.nonce }));
    forget();
    if (well) bought();
  });
  const ask = (button, wanted) =>
    tried(async () => {
      button.disabled = true;
      try {
        offered = await call(`runs/${run}/offer`, wanted);
      } catch (error) {
        if (error.token) renew(wanted);
        throw error;
      } finally {
        button.disabled = false;
      }
      if (!offered.nothing) return put();
      forget();
      throw new Error("Nothing is left to buy.");
    });

  $("renew").addEventListener("submit", async (event) => {
    event.preventDefault();
    const token = $("token-text").value;
    if (token && !(await tried(() => call("token", { token })))) return;
    $("token-text").value = "";
    if (await ask(event.submitter, { ...wants, same_account: true })) $("renew").hidden = true;
  });
  return ask;
}
