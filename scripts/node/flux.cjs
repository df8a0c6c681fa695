// Checks syntax and types of each query in Flux, by the compiler of InfluxDB 2.

const { readFileSync } = require("node:fs");
const { Flux } = require("@influxdata/flux-lsp-node");

// What Grafana defines for a query.
const OPTIONS = `option v = {
  timeRangeStart: -1h, timeRangeStop: now(), windowPeriod: 10s, defaultBucket: "example",
}
`;

function isValid(query) {
  const text = query.replace(/\$\{(\w+)(:regex)?\}/g, (_, name, regex) => (regex ? "(a|b)" : name));
  const imports = /^(import .*\n)*/.exec(text)[0];
  return new Flux(imports + OPTIONS + text.slice(imports.length)).is_valid();
}

if (isValid("from(bucket: 1)") || isValid("from(bucket: \"a\") |> range(start: -1h) |> none()")) {
  throw new Error("the check accepts wrong queries");
}
const dashboard = JSON.parse(readFileSync(process.argv[2], "utf8"));
const queries = [
  ...dashboard.panels.flatMap((panel) =>
    panel.targets.map((target) => [`${panel.title} ${target.refId}`, target.query])),
  ...dashboard.templating.list
    .filter((variable) => variable.type === "query")
    .map((variable) => [variable.name, variable.query]),
];
const wrong = queries.filter(([_, query]) => !isValid(query));
for (const [name, query] of wrong) console.error(`${name}: not valid Flux:\n${query}`);
console.log(`${queries.length} queries in Flux, ${wrong.length} of them not valid`);
process.exit(wrong.length > 0 || queries.length === 0 ? 1 : 0);
