/** The look of the messages. */

export const MESSAGES = `
.message { min-inline-size: 0; overflow-wrap: anywhere; position: relative; }
.user { align-self: end; display: flex; flex-direction: column; max-inline-size: 85%; }
.user .body { align-self: end; background: var(--raised); border-radius: var(--radius); max-inline-size: 100%; padding: 8px 14px; }
.user .foot { justify-content: end; }
.user:has(.edit) { inline-size: 100%; max-inline-size: 100%; }
.edit { background: var(--surface); border: 1px solid var(--accent); border-radius: var(--radius); padding: 6px; }
.edit textarea { box-sizing: border-box; display: block; inline-size: 100%; }
.edit textarea:focus-visible { outline: none; }
.plain { white-space: pre-wrap; }

.body > :first-child, blockquote > :first-child, li > :first-child { margin-block-start: 0; }
.body > :last-child, blockquote > :last-child { margin-block-end: 0; }
p, ul, ol, blockquote, .table, .code, hr { margin-block: 0 0.8em; }
p, li, th, td, h3, h4, h5, h6 { white-space: pre-line; }
li, p { unicode-bidi: plaintext; }
h3, h4, h5, h6 { font-weight: 650; line-height: 1.3; margin-block: 1.3em 0.5em; }
h3 { font-size: 1.25rem; }
h4 { font-size: 1.1rem; }
h5, h6 { font-size: 1rem; }
.body ul, .body ol { padding-inline-start: 1.6em; }
.body li { margin-block: 0.2em; }
.body li > :is(p, ul, ol):not(:first-child) { margin-block: 0.3em 0; }
li:has(> .task) { list-style: none; margin-inline-start: -1.3em; }
blockquote { border-inline-start: 3px solid var(--line); color: var(--muted); margin-inline: 0; padding-inline-start: 1em; }
hr { border: 0; border-block-start: 1px solid var(--line); margin-block: 1.4em; }
a { color: var(--accent); text-underline-offset: 2px; }
a.image::before { content: "\\1F5BC\\FE0E\\a0"; }
code { background: var(--raised); border-radius: 5px; font: 0.875em/1.5 var(--mono); padding: 0.12em 0.35em; white-space: pre-wrap; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.94em; }
th, td { border-block-end: 1px solid var(--line); min-inline-size: 3em; overflow-wrap: normal; padding: 5px 12px; text-align: start; vertical-align: top; }
th { font-weight: 600; }
.center { text-align: center; }
.right { text-align: end; }

.code { background: var(--surface); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.bar { align-items: center; color: var(--muted); display: flex; font-size: 0.8rem; gap: 8px; justify-content: space-between; padding: 4px 6px 4px 12px; }
.bar span { min-inline-size: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar b { color: var(--text); font-family: var(--mono); font-weight: 600; }
pre { margin: 0; overflow-x: auto; padding: 2px 12px 12px; scrollbar-color: var(--line) transparent; }
pre code { background: none; border-radius: 0; font-size: 0.85rem; padding: 0; white-space: pre; }
pre:focus-visible, .table:focus-visible { outline-offset: -2px; }
.code.tool { margin-block-end: 8px; }
.code.tool pre { font: 0.85rem/1.5 var(--mono); white-space: pre-wrap; }
.block { display: block; }

.reasoning { border-inline-start: 3px solid var(--line); color: var(--muted); font-size: 0.9rem; margin-block-end: 10px; padding-inline-start: 12px; }
.reasoning summary { border-radius: 4px; cursor: pointer; inline-size: fit-content; }
.reasoning > div { max-block-size: 20em; overflow-y: auto; padding-block: 6px; }
.running .reasoning:has(~ .body:empty) summary { animation: breathe 1.6s ease-in-out infinite; }

.running .body:empty::before { animation: breathe 1.2s ease-in-out infinite; background: var(--muted); block-size: 0.7em; border-radius: 50%; content: ""; display: block; inline-size: 0.7em; margin-block: 0.45em; }
.running .reasoning:not([hidden]) ~ .body:empty::before, .running .tools:not(:empty) ~ .body:empty::before { display: none; }
@keyframes breathe { 50% { opacity: 0.35; } }

.note { border-inline-start: 3px solid; color: var(--muted); font-size: 0.9rem; line-height: 1.45; margin-block: 8px 2px; padding-inline-start: 10px; }
.note.lost, .note.stopped, .note.stalled { color: var(--warning); }
.note.failed { color: var(--danger); }
.refusal { color: var(--muted); font-style: italic; }
.foot { align-items: center; color: var(--muted); display: flex; flex-wrap: wrap; font-size: 0.8rem; gap: 2px 4px; margin-block-start: 4px; min-block-size: 28px; }
.figures { font-variant-numeric: tabular-nums; margin-inline-start: 6px; }
.quiet { border-radius: 6px; color: var(--muted); font-size: 0.8rem; padding: 2px 8px; }
.quiet:hover { background: var(--raised); color: var(--text); }
.token .quiet, .edit .quiet[type="submit"] { background: var(--accent); color: var(--on-accent); padding: 4px 12px; }
.answer .foot { margin-inline-start: -8px; }
.user .foot { opacity: 0; }
.user:hover .foot, .user:focus-within .foot { opacity: 1; }
@media (hover: none) { .user .foot { opacity: 1; } }
@media (prefers-reduced-motion: reduce) { *, ::before { animation: none !important; transition: none !important; } }
`;
