/** The account: who you are, your password, the way out. */

import { useEffect, useState } from "preact/hooks";
import { session, setUser } from "../net/account";
import { api } from "../net/api";
import { sentenceOf } from "../net/problem";
import { Avatar, Field } from "../ui/basics";
import { Header } from "../ui/header";
import { go, invitationIn } from "../ui/router";
import { SignIn } from "../ui/sign_in";
import { toast } from "../ui/toasts";

export function Account() {
  const user = session.value?.user;
  const invitation = invitationIn(location.search);
  useEffect(() => {
    document.title = "Account · Matinee";
    if (session.peek() !== null) api.me().then(setUser, () => undefined);
  }, []);
  return (
    <div class="page">
      <Header />
      <main class="narrow">
        {user === undefined ? (
          <section class="card">
            <h1>Who are you?</h1>
            <SignIn first={invitation === null ? "login" : "register"} invitation={invitation} />
          </section>
        ) : (
          <>
            <section class="card profile">
              <Avatar id={user.id} name={user.username} />
              <div>
                <h1>{user.username}</h1>
                <p class="muted">{user.guest ? "Guest on this browser" : roleName(user.role)}</p>
              </div>
              <button type="button" onClick={() => void api.logout().then(() => go("/"))}>
                {user.guest ? "Forget me" : "Log out"}
              </button>
            </section>
            {user.guest ? (
              <section class="card">
                <h2>Keep your rooms</h2>
                <p class="muted">
                  A guest is forgotten with the browser's data. With an account you stay yourself.
                </p>
                <SignIn first="register" guest={false} invitation={invitation} />
              </section>
            ) : (
              <>
                <Rename name={user.username} />
                <Password />
              </>
            )}
          </>
        )}
      </main>
    </div>
  );
}

function roleName(role: string): string {
  return role === "root" ? "Owner of this site" : role === "admin" ? "Administrator" : "Member";
}

function Rename({ name }: { name: string }) {
  const [value, setValue] = useState(name);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const onSubmit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      setUser(await api.rename(value.trim()));
      toast("Your name is changed.");
    } catch (error) {
      setProblem(sentenceOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <section class="card">
      <h2>Profile</h2>
      <form class="stack" onSubmit={(event) => void onSubmit(event)}>
        <Field
          label="Username"
          value={value}
          required
          minLength={2}
          maxLength={32}
          autocomplete="username"
          error={problem ?? undefined}
          onInput={(event) => setValue(event.currentTarget.value)}
        />
        <button type="submit" disabled={busy || value.trim() === name}>
          Save
        </button>
      </form>
    </section>
  );
}

function Password() {
  const [old, setOld] = useState("");
  const [fresh, setFresh] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const onSubmit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await api.changePassword(old, fresh);
      setOld("");
      setFresh("");
      toast("Your password is changed.");
    } catch (error) {
      setProblem(sentenceOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <section class="card">
      <h2>Password</h2>
      <form class="stack" onSubmit={(event) => void onSubmit(event)}>
        <Field
          label="Current password"
          type="password"
          value={old}
          required
          autocomplete="current-password"
          onInput={(event) => setOld(event.currentTarget.value)}
        />
        <Field
          label="New password"
          type="password"
          value={fresh}
          required
          minLength={8}
          maxLength={256}
          autocomplete="new-password"
          hint="At least 8 characters."
          onInput={(event) => setFresh(event.currentTarget.value)}
        />
        {problem && (
          <p class="form-error" role="alert">
            {problem}
          </p>
        )}
        <button type="submit" disabled={busy}>
          {busy ? "Changing…" : "Change password"}
        </button>
      </form>
    </section>
  );
}
