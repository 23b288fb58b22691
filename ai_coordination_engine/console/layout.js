// Lay out a graph in columns: an agent stands in the column after its last predecessor.

export const WIDTH = 208;
export const HEIGHT = 62;
const GAP = 26; // between agents of a column
const LANE = 18; // between edges that pass a column
const SWEEPS = 8;

/**
 * Place `nodes` (ids) that `edges` ([from, to, …]) connect. Answers {places: {id: [x, y]},
 * paths: [[[x, y], …], …] (one for each edge), width, height}. `gap` is between columns.
 */
export function layout({ nodes, edges, gap = 72 }) {
  const step = WIDTH + gap;
  const index = new Map(nodes.map((id, number) => [id, number]));
  const known = edges.map(([from, to]) => [index.get(from), index.get(to)]);
  const rank = ranks(nodes.length, known);
  const graph = withLanes(nodes.length, rank, known);
  order(graph);
  const y = heights(graph);
  const places = Object.fromEntries(nodes.map((id, number) => [id, [rank[number] * step, y[number] - HEIGHT / 2]]));
  const sides = (node) => [[graph.rank[node] * step, y[node]], [graph.rank[node] * step + WIDTH, y[node]]];
  const paths = graph.ways.map((way) => way.flatMap(sides).slice(1, -1)); // from the right side to the left one
  const lowest = y.reduce((low, each) => Math.max(low, each), -HEIGHT / 2);
  return { places, paths, width: Math.max(graph.columns.length * step - gap, 0), height: lowest + HEIGHT / 2 };
}

const lists = (count) => Array.from({ length: count }, () => []);

/** The longest way to each node; an edge that closes a circle does not count. */
function ranks(count, edges) {
  const after = lists(count);
  const left = new Array(count).fill(0);
  for (const [from, to] of edges) {
    after[from].push(to);
    left[to] += 1;
  }
  const rank = new Array(count).fill(0);
  const ready = [...left.keys()].filter((node) => left[node] === 0);
  for (let next = 0; next < ready.length; next += 1) {
    for (const to of after[ready[next]]) {
      rank[to] = Math.max(rank[to], rank[ready[next]] + 1);
      left[to] -= 1;
      if (left[to] === 0) ready.push(to);
    }
  }
  return rank;
}

/** The columns, with a place for each edge that passes one. */
function withLanes(count, ranked, edges) {
  const rank = [...ranked];
  const before = lists(count);
  const after = lists(count);
  const ways = edges.map(([from, to]) => {
    const way = [from];
    for (let column = rank[from] + 1; column < rank[to]; column += 1) {
      way.push(rank.push(column) - 1);
      before.push([]);
      after.push([]);
    }
    way.forEach((node, at) => {
      after[node].push(way[at + 1] ?? to);
      before[way[at + 1] ?? to].push(node);
    });
    return [...way, to];
  });
  const columns = [];
  rank.forEach((column, node) => (columns[column] ??= []).push(node));
  return { count, rank, before, after, ways, columns };
}

/** Sort each column by the middle of its neighbours, in turns from left and from right. */
function order({ columns, before, after, rank }) {
  const place = new Array(rank.length);
  const number = (column) => column.forEach((node, at) => { place[node] = at; });
  columns.forEach(number);
  const sort = (column, neighbours) => {
    const middle = new Map(column.map((node) => {
      const near = neighbours[node].map((each) => place[each]).sort((one, other) => one - other);
      return [node, near.length ? (near[(near.length - 1) >> 1] + near[near.length >> 1]) / 2 : place[node]];
    }));
    column.sort((one, other) => middle.get(one) - middle.get(other) || place[one] - place[other]);
    number(column);
  };
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    if (sweep % 2 === 0) columns.slice(1).forEach((column) => sort(column, before));
    else columns.slice(0, -1).reverse().forEach((column) => sort(column, after));
  }
}

/** The height of the middle of each node and lane, near the mean of its neighbours. */
function heights({ count, columns, before, after, rank }) {
  const isLane = (node) => node >= count;
  const apart = (one, other) => [HEIGHT + GAP, HEIGHT / 2 + GAP, LANE][isLane(one) + isLane(other)];
  const y = new Array(rank.length).fill(0);
  const offsets = columns.map((column) => {
    column.forEach((node, place) => { y[node] = place ? y[column[place - 1]] + apart(column[place - 1], node) : 0; });
    return column.map((node) => y[node]);
  });
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forward = sweep % 2 === 0;
    const neighbours = forward ? before : after;
    for (const [number, column] of forward ? columns.entries() : [...columns.entries()].reverse()) {
      const wanted = column.map((node) => {
        const near = neighbours[node];
        return near.length ? near.reduce((sum, each) => sum + y[each], 0) / near.length : y[node];
      });
      spread(wanted, offsets[number]).forEach((at, place) => { y[column[place]] = at; });
    }
  }
  const top = y.reduce((low, each) => Math.min(low, each), Infinity) - HEIGHT / 2;
  return y.map((each) => each - top);
}

/** The nearest places to `wanted`, in this order and at least as far apart as `offsets` say. */
function spread(wanted, offsets) {
  const blocks = [];
  wanted.forEach((at, place) => {
    let block = { sum: at - offsets[place], size: 1 };
    while (blocks.length && blocks.at(-1).sum / blocks.at(-1).size > block.sum / block.size) {
      const last = blocks.pop();
      block = { sum: last.sum + block.sum, size: last.size + block.size };
    }
    blocks.push(block);
  });
  return blocks.flatMap(({ sum, size }) => new Array(size).fill(sum / size)).map((at, place) => at + offsets[place]);
}

if (!globalThis.document) onmessage = ({ data }) => postMessage(layout(data)); // as a worker, beside the page
