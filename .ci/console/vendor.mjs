// vendor.mjs NODE_MODULES FOLDER: write the libraries of the console, with their licences, to vendor.js in FOLDER.
import { build } from "esbuild";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [modules, folder] = process.argv.slice(2);
const PACKAGES = ["preact", "htm", "graphql-ws"];
const CONTENTS = `export { h, render } from "preact";
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export { default as htm } from "htm";
export { createClient } from "graphql-ws/client";`;

// The Apache licence is long: its notice stands in the file, its text beside the wheel's other licences.
const APACHE = "Copyright 2018 Google Inc. Licensed under the Apache License, Version 2.0, http://www.apache.org/licenses/LICENSE-2.0";

function licence(name) {
  const { version, license } = JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8"));
  const file = name === "graphql-ws" ? "LICENSE.md" : "LICENSE";
  const text = readFileSync(join(modules, name, file), "utf8").replaceAll("*/", "* /").replace(/\s+/g, " ").trim();
  return `${name} ${version}, ${license}\n\n${license === "Apache-2.0" ? APACHE : text}\n`;
}

const { outputFiles } = await build({
  stdin: { contents: CONTENTS, resolveDir: join(modules, "..") },
  bundle: true, format: "esm", minify: true, target: "es2022", legalComments: "none", write: false,
});
const head = `/* Made by make vendor; not written by hand.\n\n${PACKAGES.map(licence).join("\n")}*/\n`;
writeFileSync(join(folder, "vendor.js"), head + outputFiles[0].text);
