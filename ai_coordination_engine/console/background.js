// Lay out graphs off the page's thread, with a deadline: a worker that is late is ended.
let worker;
let count = 0;
const waiting = new Map();

function start() {
  worker = new Worker("/console/worker.js", { type: "module" });
  worker.onmessage = ({ data: { number, value } }) => waiting.get(number)?.(value);
}

/** The layout of a graph; rejects when it takes longer than the deadline. */
export function laidOut(input, milliseconds) {
  if (!worker) start();
  count += 1;
  const number = count;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      worker?.terminate();
      worker = undefined;
      waiting.clear();
      reject(new Error("late"));
    }, milliseconds);
    waiting.set(number, (value) => {
      clearTimeout(timer);
      waiting.delete(number);
      resolve(value);
    });
    worker.postMessage({ number, input });
  });
}
