// The layout of a large graph, off the page's thread.
import { layout } from "./layout.js";

onmessage = ({ data }) => postMessage(layout(data));
