// Grafana's types, as they are in JSON. The dashboards are checked against `DashboardFile`.

import type * as schema from "@grafana/schema";
import type { Options as StatOptions } from
  "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type { Options as TableOptions } from
  "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type { Options as SeriesOptions } from
  "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

// Enumerations are their values.
type Json<T> =
  T extends string ? `${T}`
  : T extends number ? (`${T}` extends `${infer N extends number}` ? N : T)
  : T extends (infer Item)[] ? Json<Item>[]
  : T extends object ? { [Key in keyof T]: Json<T[Key]> }
  : T;

interface Target {
  refId: string;
  datasource: schema.DataSourceRef;
  // InfluxQL and Flux
  query?: string;
  rawQuery?: boolean;
  resultFormat?: "table" | "time_series";
  alias?: string;
  // SQL
  rawSql?: string;
  format?: "table" | "time_series";
  dataset?: "iox";
}

type Common = Omit<schema.Panel, "type" | "options" | "fieldConfig" | "targets"> & {
  id: number;
  gridPos: schema.GridPos;
  targets: Target[];
};
// Grafana adds the defaults of options that are left out.
type Panel = Common &
  (
    | {
        type: "stat";
        options: Partial<StatOptions>;
        fieldConfig: schema.FieldConfigSource<Record<string, never>>;
      }
    | {
        type: "table";
        options: Partial<TableOptions>;
        fieldConfig: schema.FieldConfigSource<schema.TableFieldOptions>;
      }
    | {
        type: "timeseries";
        options: SeriesOptions;
        fieldConfig: schema.FieldConfigSource<schema.GraphFieldConfig>;
      }
  );

export type DashboardFile = Json<Omit<schema.Dashboard, "panels"> & { panels: Panel[] }>;

// The check fails if one of these is accepted.
type FilePanel = DashboardFile["panels"][number];
// @ts-expect-error
export const panelOfOldGrafana: FilePanel["type"] = "graph";
// @ts-expect-error
export const misspeltOption: FilePanel["options"] = { legends: [] };
// @ts-expect-error
export const thresholds: FilePanel["fieldConfig"] = { defaults: { color: { mode: "rainbow" } } };
