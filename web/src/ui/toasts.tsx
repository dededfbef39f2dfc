/** Short sentences at the edge of the screen that go by themselves. */

import { signal } from "@preact/signals";

interface Toast {
  id: number;
  text: string;
  tone: "info" | "error";
}

const SHOWN_MS = 5_000;
const list = signal<Toast[]>([]);
let count = 0;

export function toast(text: string, tone: Toast["tone"] = "info"): void {
  const id = ++count;
  list.value = [...list.value.filter((t) => t.text !== text).slice(-2), { id, text, tone }];
  setTimeout(() => dismiss(id), SHOWN_MS);
}

function dismiss(id: number): void {
  list.value = list.value.filter((t) => t.id !== id);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {list.value.map((t) => (
        <button type="button" key={t.id} class={`toast ${t.tone}`} onClick={() => dismiss(t.id)}>
          {t.text}
        </button>
      ))}
    </div>
  );
}
