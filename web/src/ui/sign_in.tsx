/** Say who you are: a name for tonight, or an account. */

import { useEffect, useState } from "preact/hooks";
import { api, type Registration } from "../net/api";
import { sentenceOf } from "../net/problem";
import { Field, FormError } from "./basics";

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

/** The ways that are open here. */
export function waysOf(registration: Registration, guest: boolean): [SignInWay, string][] {
  return OPTIONS.filter(
    ([way]) => (way !== "guest" || guest) && (way !== "register" || registration !== "closed"),
  );
}

/**
 * `first` is offered first; without `guest` only accounts are. `invitation`: the code for an account that the link
 * carried.
 */
export function SignIn({
  first = "guest",
  guest = true,
  invitation = null,
}: {
  first?: SignInWay;
  guest?: boolean;
  invitation?: string | null;
}) {
  const [wanted, setWay] = useState<SignInWay>(first);
  const [registration, setRegistration] = useState<Registration>("open");
  const [code, setCode] = useState(invitation ?? "");
  // Until it is known who may register everybody is asked to: the server has the last word.
  useEffect(() => {
    api.providers().then(
      (answer) => setRegistration(answer.registration ?? "open"),
      () => undefined,
    );
  }, []);
  const ways = waysOf(registration, guest);
  const way = ways.some(([open]) => open === wanted) ? wanted : (ways[0]?.[0] ?? "login");
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
      else if (way === "login") await api.login(name.trim(), password);
      else await api.register(name.trim(), password, registration === "invite" ? code.trim() : undefined);
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
        options={ways}
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
      {way === "register" && registration === "invite" && (
        <Field
          label="Invitation"
          value={code}
          required
          maxLength={64}
          autocomplete="off"
          hint="Accounts here are by invitation. The code is in the link you were sent."
          onInput={(event) => setCode(event.currentTarget.value)}
        />
      )}
      <FormError text={problem} />
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
