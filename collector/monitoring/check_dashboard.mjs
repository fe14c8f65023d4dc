// Checks dashboard.json against the TypeScript types of Grafana's own schema package (npm: @grafana/schema).
//
//   node check_dashboard.mjs
//
// It installs the package and the compiler into a folder of its own below the system's temporary one.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const GRAFANA = '13.2.3';
const TYPESCRIPT = '7.0.2';

const folder = join(tmpdir(), `cxotel-dashboard-${GRAFANA}-${TYPESCRIPT}`);
mkdirSync(folder, { recursive: true });
const run = (command, ...args) => execFileSync(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
if (!existsSync(join(folder, 'node_modules', 'typescript'))) {
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  run('npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', `@grafana/schema@${GRAFANA}`, `typescript@${TYPESCRIPT}`);
}

const dashboard = JSON.parse(readFileSync(new URL('dashboard.json', import.meta.url), 'utf8'));
const { panels, ...rest } = dashboard;
const kinds = [...new Set(panels.map((panel) => panel.type).filter((type) => type !== 'row'))];
const text = (value) => JSON.stringify(value, null, 1);

// In JSON an enum is its value. Literals are checked strictly: a property that the schema lacks is an error.
const source = `
import type { Dashboard, Panel, RowPanel } from '@grafana/schema';
${kinds.map((kind) => `import type * as ${kind} from './node_modules/@grafana/schema/dist/types/raw/composable/${kind}/panelcfg/x/types.gen';`).join('\n')}
type Plain<T> = T extends string ? \`\${T}\` : T extends number | boolean | null | undefined ? T
  : unknown extends T ? T : T extends (infer I)[] ? Plain<I>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Source = { type: string; uid: string };
type PrometheusTarget = { refId: string; datasource: Source; expr: string; editorMode: 'code'; range: boolean; instant: boolean;
  legendFormat?: string; format?: 'table' | 'heatmap'; exemplar?: true };
type TempoTarget = { refId: string; datasource: Source; queryType: 'traceql'; query: string; tableType: 'spans' | 'traces';
  limit: number; spss: number; filters: [] };
type With<O, F> = Omit<Plain<Omit<Panel<{}, F>, 'options' | 'targets'>>, never> & { options: Plain<O>; targets: (PrometheusTarget | TempoTarget)[] };
export const dashboard: Plain<Omit<Dashboard, 'panels' | 'annotations'>> = ${text({ ...rest, annotations: undefined })};
export const annotations: { name: string; datasource: Source; enable: boolean; hide: boolean; iconColor: string;
  target: { refId: string; expr: string; interval: string } }[] = ${text(rest.annotations.list)};
${panels.map((panel, i) => {
  const options = panel.type === 'row' ? 'Plain<RowPanel>'
    : `With<${panel.type}.Options, ${panel.type === 'stat' ? '{}' : `${panel.type}.FieldConfig`}>`;
  return `export const panel${i}: ${options} = ${text(panel)};`;
}).join('\n')}
`;
writeFileSync(join(folder, 'dashboard.ts'), source);
try {
  run('npx', '--no-install', 'tsc', '--noEmit', '--strict', '--skipLibCheck', '--module', 'esnext', '--moduleResolution', 'bundler', 'dashboard.ts');
  console.log(`dashboard.json: ${panels.length} panels agree with @grafana/schema ${GRAFANA}`);
} catch (error) {
  console.error(error.stdout?.toString() ?? error);
  process.exit(1);
}
