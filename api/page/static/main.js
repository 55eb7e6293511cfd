// The script of all pages. Each module handles one feature on every page that has it.
import "./actions.js";
import "./calendar.js";
import "./grid.js";
import "./log.js";
import { onRefresh, start } from "./live.js";
import { tick } from "./ages.js";

setInterval(tick, 1000);
onRefresh(tick);
tick();
start();
