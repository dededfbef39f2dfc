/** The small parts every page is made of. */

import type { ComponentChildren, JSX, TargetedEvent } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { hueOf, initials } from "../format";
import { Icon, type IconName } from "./icons";
import { toast } from "./toasts";

export function IconButton({
  icon,
  label,
  size,
  class: extra = "",
  ...rest
}: { icon: IconName; label: string; size?: number; class?: string } & Omit<
  JSX.IntrinsicElements["button"],
  "size" | "class" | "icon" | "label"
>) {
  return (
    <button type="button" class={`icon-button ${extra}`} aria-label={label} title={label} {...rest}>
      <Icon name={icon} size={size} />
    </button>
  );
}

export function Avatar({ id, name, small }: { id: string; name: string; small?: boolean }) {
  return (
    <span class={`avatar${small ? " small" : ""}`} style={{ "--hue": String(hueOf(id)) }} aria-hidden="true">
      {initials(name)}
    </span>
  );
}

export function Spinner({ label }: { label: string }) {
  return (
    <span class="spinner" role="status">
      <span class="visually-hidden">{label}</span>
    </span>
  );
}

interface FieldProps {
  label: string;
  value: string;
  onInput: (event: TargetedEvent<HTMLInputElement>) => void;
  hint?: string;
  error?: string;
  type?: "text" | "password" | "url";
  inputMode?: "url" | "numeric" | "decimal";
  disabled?: boolean;
  required?: boolean;
  minLength?: number;
  maxLength?: number;
  placeholder?: string;
  autocomplete?: JSX.IntrinsicElements["input"]["autocomplete"];
  autoFocus?: boolean;
}

export function Field({ label, hint, error, type = "text", autoFocus, ...rest }: FieldProps) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  // The attribute is for dialogs that open; what appears later in one is focused here.
  useLayoutEffect(() => {
    if (autoFocus) input.current?.focus();
  }, []);
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        {...({ type, autoFocus } as { type: "text" })}
        id={id}
        ref={input}
        aria-invalid={error ? true : undefined}
        aria-describedby={hint || error ? `${id}-d` : undefined}
        {...rest}
      />
      {(hint || error) && (
        <small id={`${id}-d`} class={error ? "error-text" : ""}>
          {error ?? hint}
        </small>
      )}
    </div>
  );
}

/** Why a form was not taken, read out at once. */
export function FormError({ text }: { text: string | null | undefined }) {
  if (!text) return null;
  return (
    <p class="form-error" role="alert">
      {text}
    </p>
  );
}

/** A modal dialog by the browser's own element: focus stays inside, Escape closes. */
export function Dialog({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const { current } = ref;
    current?.showModal();
    return () => current?.close();
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape is the keyboard's way out of a dialog.
    <dialog
      ref={ref}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === ref.current) onClose();
      }}
    >
      <div class="dialog-body">
        <header>
          <h2 id={id}>{title}</h2>
          <IconButton icon="close" label="Close" onClick={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** A question before what cannot be taken back. */
export function Confirm({
  title,
  yes,
  no = "Cancel",
  busy,
  problem,
  onYes,
  onClose,
  children,
}: {
  title: string;
  yes: string;
  no?: string;
  busy?: boolean;
  problem?: string | null;
  onYes: () => void;
  onClose: () => void;
  children: ComponentChildren;
}) {
  return (
    <Dialog title={title} onClose={onClose}>
      <div>{children}</div>
      <FormError text={problem} />
      <div class="row end">
        <button type="button" onClick={onClose}>
          {no}
        </button>
        <button type="button" class="danger" disabled={busy} onClick={onYes}>
          {yes}
        </button>
      </div>
    </Dialog>
  );
}

/** One of a few, by the browser's own list. */
export function Select({
  label,
  value,
  options,
  disabled,
  onChange,
}: {
  label: string;
  value: string;
  options: readonly (readonly [string, string])[];
  disabled?: boolean;
  onChange: (value: string) => void;
}) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select
        id={id}
        value={value}
        disabled={disabled}
        onChange={(event) => onChange(event.currentTarget.value)}
      >
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

/** Text with a button that copies it; `children` stand beside it. */
export function CopyField({
  label,
  value,
  secret,
  children,
}: {
  label: string;
  value: string;
  secret?: boolean;
  children?: ComponentChildren;
}) {
  const [shown, setShown] = useState(!secret);
  const [copied, setCopied] = useState(false);
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const onCopy = async () => {
    if (await copyText(value, input.current)) {
      setCopied(true);
      setTimeout(() => setCopied(false), 1_500);
    } else {
      toast("The browser does not allow copying here. Select the text and copy it by hand.", "error");
    }
  };
  return (
    <div class="field copy-field">
      <label for={id}>{label}</label>
      <div class="joined-controls">
        <input
          {...({ type: shown ? "text" : "password" } as { type: "text" })}
          id={id}
          ref={input}
          readOnly
          value={value}
          spellcheck={false}
          autocomplete="off"
          onFocus={(event) => event.currentTarget.select()}
        />
        {secret && (
          <button type="button" onClick={() => setShown(!shown)}>
            {shown ? "Hide" : "Show"}
          </button>
        )}
        <button type="button" onClick={() => void onCopy()} aria-label={`Copy ${label.toLowerCase()}`}>
          <Icon name={copied ? "check" : "copy"} size={16} />
          {copied ? "Copied" : "Copy"}
        </button>
        {children}
      </div>
    </div>
  );
}

/** Copy; plain http has no clipboard API, there the selected text is copied the old way. */
export async function copyText(text: string, input?: HTMLInputElement | null): Promise<boolean> {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // Not allowed: the old way is left.
  }
  const area = input ?? document.body.appendChild(document.createElement("textarea"));
  if (area instanceof HTMLTextAreaElement) area.value = text;
  const type = area instanceof HTMLInputElement ? area.type : null;
  if (area instanceof HTMLInputElement) area.type = "text";
  area.select();
  const done = document.execCommand("copy");
  if (area instanceof HTMLInputElement && type !== null) area.type = type;
  if (area instanceof HTMLTextAreaElement) area.remove();
  return done;
}
