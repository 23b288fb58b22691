// The layout of large graphs, off the page's thread.
import { layout } from "./layout.js";

onmessage = ({ data: { number, input } }) => postMessage({ number, value: layout(input) });
