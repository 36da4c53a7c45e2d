/** The look of the frame: colours, columns, the list, the field. A page sets the `--streamkit-…` properties to have another. */

export const FRAME = `
:host {
  --accent: var(--streamkit-accent, light-dark(#0b57d0, #8ab4f8));
  --on-accent: var(--streamkit-on-accent, light-dark(#fff, #0b1b33));
  --background: var(--streamkit-background, light-dark(#fff, #16181c));
  --surface: var(--streamkit-surface, light-dark(#f4f5f7, #1f2227));
  --raised: var(--streamkit-raised, light-dark(#e9edf4, #2b2f36));
  --text: var(--streamkit-text, light-dark(#1b1d21, #e6e8eb));
  --muted: var(--streamkit-muted, light-dark(#59606b, #a3abb6));
  --line: var(--streamkit-line, light-dark(#dcdfe4, #383d45));
  --danger: var(--streamkit-danger, light-dark(#a8201a, #ff9d94));
  --warning: var(--streamkit-warning, light-dark(#7a4b00, #f0c070));
  --radius: var(--streamkit-radius, 14px);
  --column: var(--streamkit-column, 46rem);
  --mono: var(--streamkit-mono, ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace);
  background: var(--background);
  block-size: 36rem;
  color: var(--text);
  color-scheme: light dark;
  container-type: size;
  display: block;
  font: var(--streamkit-font, 1rem/1.6 system-ui, sans-serif);
  overflow: hidden;
}
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
:host([hidden]), [hidden] { display: none !important; }
*, ::before, ::after { box-sizing: border-box; }

.app { block-size: 100%; display: flex; position: relative; }
.main { display: flex; flex: 1; flex-direction: column; min-inline-size: 0; }
.shade { display: none; }

button, select, textarea, input { color: inherit; font: inherit; margin: 0; }
button { background: none; border: 0; border-radius: 8px; cursor: pointer; padding: 0; }
button, select { min-block-size: 24px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.icon { block-size: 20px; display: block; fill: none; inline-size: 20px; stroke: currentColor; stroke-linecap: round; stroke-linejoin: round; stroke-width: 1.8; }
.icon-stop { fill: currentColor; }

header { align-items: center; border-block-end: 1px solid var(--line); display: flex; gap: 6px; min-block-size: 53px; padding: 8px 16px; }
h2 { flex: 1; font-size: 0.95rem; font-weight: 600; line-height: 1.3; margin: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bare { color: var(--muted); padding: 8px; }
.bare:hover { background: var(--raised); color: var(--text); }
header .bare { display: none; }
select { appearance: auto; background: var(--background); border: 1px solid var(--line); border-radius: 8px; font-size: 0.85rem; max-inline-size: 14rem; padding: 5px 8px; }

.sidebar { background: var(--surface); border-inline-end: 1px solid var(--line); display: flex; flex-direction: column; inline-size: 16rem; padding: 10px; }
.create { align-items: center; border: 1px solid var(--line); display: flex; font-size: 0.9rem; font-weight: 500; gap: 8px; padding: 6px 10px; }
.create:hover, .sidebar li:hover, .sidebar li:has([aria-current]) { background: var(--raised); }
.sidebar ul { flex: 1; list-style: none; margin: 10px 0 0; overflow-y: auto; padding: 2px; }
.sidebar li { align-items: center; border-radius: 8px; display: flex; margin-block-end: 2px; }
.open { flex: 1; font-size: 0.88rem; min-inline-size: 0; overflow: hidden; padding: 6px 10px; text-align: start; text-overflow: ellipsis; white-space: nowrap; }
.open[aria-current] { font-weight: 600; }
.remove { color: var(--muted); opacity: 0; padding: 6px; }
.remove .icon { block-size: 16px; inline-size: 16px; }
li:hover .remove, li:focus-within .remove { opacity: 1; }
.remove:hover, .remove.sure { color: var(--danger); opacity: 1; }
.remove.sure { font-size: 0.8rem; font-weight: 600; }
@media (hover: none) { .remove { opacity: 1; } }

.stage { flex: 1; min-block-size: 0; position: relative; }
.scroller { block-size: 100%; overflow-y: auto; overscroll-behavior: contain; padding: 24px 16px 8px; scrollbar-color: var(--line) transparent; }
.scroller:focus-visible { outline-offset: -3px; }
.column { display: flex; flex-direction: column; gap: 20px; margin-inline: auto; max-inline-size: var(--column); }
.empty { align-items: center; block-size: 100%; color: var(--muted); display: flex; flex-direction: column; justify-content: center; text-align: center; }
.empty p { margin: 0; }
.empty .hello { color: var(--text); font-size: 1.35rem; font-weight: 600; }
.latest { background: var(--background); border: 1px solid var(--line); border-radius: 50%; box-shadow: 0 2px 8px #0003; inset-block-end: 8px; inset-inline-end: calc(50% - 18px); padding: 8px; position: absolute; }
.latest .icon { block-size: 18px; inline-size: 18px; }

.bottom { margin-inline: auto; max-inline-size: calc(var(--column) + 32px); inline-size: 100%; padding: 8px 16px max(14px, env(safe-area-inset-bottom)); }
.banner { color: var(--warning); font-size: 0.85rem; padding: 0 4px 8px; }
.composer, .token { align-items: end; background: var(--surface); border: 1px solid var(--line); border-radius: calc(var(--radius) + 6px); display: flex; gap: 8px; padding: 7px; }
.token { border-radius: var(--radius); margin-block-end: 8px; }
.composer:focus-within { border-color: var(--accent); }
textarea, input { background: none; border: 0; flex: 1; field-sizing: content; line-height: 1.5; max-block-size: min(15em, 40cqb); min-inline-size: 0; padding: 5px 9px; resize: none; }
textarea { overflow-y: auto; }
.composer textarea:focus-visible { outline: none; }
textarea::placeholder, input::placeholder { color: var(--muted); opacity: 1; }
.send { background: var(--accent); border-radius: 50%; color: var(--on-accent); flex: none; padding: 7px; }
.send:hover { filter: brightness(1.1); }
.send .icon { block-size: 20px; inline-size: 20px; }

@container (inline-size < 44rem) {
  header { padding-inline: 8px; }
  header .bare { display: block; }
  h2 { text-align: center; }
  select { max-inline-size: 8.5rem; }
  .sidebar { inline-size: min(18rem, 85cqi); inset-block: 0; inset-inline-start: 0; position: absolute; visibility: hidden; z-index: 2; }
  .drawer .sidebar { box-shadow: 0 0 24px #0006; visibility: visible; }
  .drawer .shade { background: #0006; display: block; inset: 0; position: absolute; z-index: 1; }
  .sidebar .open, .create { padding-block: 10px; }
  .scroller { padding-block-start: 16px; }
  .bottom { padding-inline: 10px; }
  textarea { font-size: 1rem; }
}
@media (forced-colors: active) {
  .composer, .send, .user .body, .code { border: 1px solid; }
}
`;
