/** Say who you are: a name for tonight, or an account. */

import { useState } from "preact/hooks";
import { api } from "../net/api";
import { sentenceOf } from "../net/problem";
import { Field } from "./basics";

export type SignInWay = "guest" | "login" | "register";

const WAYS: Record<SignInWay, { button: string; busy: string }> = {
  guest: { button: "Continue as guest", busy: "Coming in…" },
  login: { button: "Log in", busy: "Logging in…" },
  register: { button: "Create account", busy: "Creating…" },
};

const OPTIONS: [SignInWay, string][] = [
  ["guest", "As guest"],
  ["login", "Log in"],
  ["register", "Register"],
];

/** `first` is offered first; without `guest` only accounts are. */
export function SignIn({ first = "guest", guest = true }: { first?: SignInWay; guest?: boolean }) {
  const [way, setWay] = useState<SignInWay>(first);
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);

  const onSubmit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      if (way === "guest") await api.guest(name.trim());
      else await api[way](name.trim(), password);
    } catch (error) {
      setProblem(sentenceOf(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <form class="stack" onSubmit={(event) => void onSubmit(event)}>
      <Tabs
        label="How to come in"
        value={way}
        options={guest ? OPTIONS : OPTIONS.slice(1)}
        onChange={(value) => {
          setWay(value);
          setProblem(null);
        }}
      />
      <Field
        label={way === "guest" ? "Your name" : "Username"}
        value={name}
        required
        minLength={2}
        maxLength={32}
        autocomplete={way === "guest" ? "nickname" : "username"}
        placeholder={way === "guest" ? "What the others will see" : ""}
        onInput={(event) => setName(event.currentTarget.value)}
      />
      {way !== "guest" && (
        <Field
          label="Password"
          type="password"
          value={password}
          required
          minLength={8}
          maxLength={256}
          autocomplete={way === "login" ? "current-password" : "new-password"}
          hint={way === "register" ? "At least 8 characters." : undefined}
          onInput={(event) => setPassword(event.currentTarget.value)}
        />
      )}
      {problem && (
        <p class="form-error" role="alert">
          {problem}
        </p>
      )}
      <button type="submit" class="primary wide" disabled={busy}>
        {busy ? WAYS[way].busy : WAYS[way].button}
      </button>
    </form>
  );
}

export function Tabs<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}) {
  return (
    <fieldset class="tabs">
      <legend class="visually-hidden">{label}</legend>
      {options.map(([key, text]) => (
        <button type="button" key={key} aria-pressed={value === key} onClick={() => onChange(key)}>
          {text}
        </button>
      ))}
    </fieldset>
  );
}
