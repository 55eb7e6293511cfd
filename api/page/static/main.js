// Everything the pages do by themselves. Each module looks after one thing, on every page that has it.
import "./actions.js";
import "./calendar.js";
import "./log.js";
import { onRefresh, start } from "./live.js";
import { tick } from "./ages.js";

setInterval(tick, 1000);
onRefresh(tick);
tick();
start();
